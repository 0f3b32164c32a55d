// The gRPC channel to a daemon.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

namespace townsfolk {

// Whether this library was built with TLS.
bool has_tls();

// A channel that connects when it is first used. An empty `certificate_authority_pem` means no TLS.
std::shared_ptr<grpc::Channel> make_channel(const std::string& address, const std::string& certificate_authority_pem);

}  // namespace townsfolk
