#include "channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

namespace townsfolk {

namespace {

constexpr int kConnectMs = 5'000;
// the daemon hangs up on who pings an idle connection more often than every 300 s
constexpr int kPingEveryMs = 330'000;
constexpr int kPingAnswerMs = 20'000;

}  // namespace

bool has_tls() {
#ifdef TOWNSFOLK_TLS
  return true;
#else
  return false;
#endif
}

std::shared_ptr<grpc::Channel> make_channel(const std::string& address,
                                            [[maybe_unused]] const std::string& certificate_authority_pem) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // clients share nothing
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);          // a proxy knows nothing of this machine's daemon
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMs);  // which is how long one try may take
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kPingEveryMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingAnswerMs);
#ifdef TOWNSFOLK_TLS
  if (!certificate_authority_pem.empty()) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = certificate_authority_pem;
    return grpc::CreateCustomChannel(address, grpc::SslCredentials(options), arguments);
  }
#endif
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace townsfolk
