#include "port_probe.h"

#include <chrono>
#include <cstring>

#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#endif

namespace townsfolk {
namespace {

constexpr int kSliceMs = 10;
constexpr auto kPatience = std::chrono::seconds(1);

#ifdef _WIN32

class SocketLibrary {
 public:
  SocketLibrary() { ready_ = WSAStartup(MAKEWORD(2, 2), &data_) == 0; }
  ~SocketLibrary() {
    if (ready_) WSACleanup();
  }
  SocketLibrary(const SocketLibrary&) = delete;
  SocketLibrary& operator=(const SocketLibrary&) = delete;

 private:
  WSADATA data_;
  bool ready_;
};

using Socket = SOCKET;
constexpr Socket kNoSocket = INVALID_SOCKET;

void close_socket(Socket socket) { closesocket(socket); }

void do_not_wait(Socket socket) {
  u_long on = 1;
  ioctlsocket(socket, FIONBIO, &on);
}

bool connecting() { return WSAGetLastError() == WSAEWOULDBLOCK; }

bool decided(Socket socket) {
  fd_set connected, failed;  // of Windows: lists of handles, not bits
  FD_ZERO(&connected);
  FD_ZERO(&failed);
  FD_SET(socket, &connected);
  FD_SET(socket, &failed);
  timeval slice{0, kSliceMs * 1000};
  return select(0, nullptr, &connected, &failed, &slice) > 0;
}

bool unix_socket_listens(const std::string&, const std::atomic<bool>&) { return false; }  // no daemon has one there

#else

struct SocketLibrary {};
using Socket = int;
constexpr Socket kNoSocket = -1;

void close_socket(Socket socket) { ::close(socket); }

void do_not_wait(Socket socket) {
  ::fcntl(socket, F_SETFD, FD_CLOEXEC);
  ::fcntl(socket, F_SETFL, O_NONBLOCK);
}

bool connecting() { return errno == EINPROGRESS || errno == EINTR; }

bool decided(Socket socket) {
  pollfd waiting{socket, POLLOUT, 0};
  return ::poll(&waiting, 1, kSliceMs) > 0;
}

#endif

bool connected_in_time(Socket socket, const std::atomic<bool>& stop) {
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  while (!stop && std::chrono::steady_clock::now() < give_up) {
    if (!decided(socket)) continue;
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(socket, SOL_SOCKET, SO_ERROR, reinterpret_cast<char*>(&error), &size) == 0 && error == 0;
  }
  return false;
}

bool connects(const sockaddr* address, size_t size, const std::atomic<bool>& stop) {
  const Socket connection = socket(address->sa_family, SOCK_STREAM, 0);
  if (connection == kNoSocket) return false;
  do_not_wait(connection);
  const bool connected = connect(connection, address, static_cast<socklen_t>(size)) == 0 ||
                         (connecting() && connected_in_time(connection, stop));
  close_socket(connection);
  return connected;
}

#ifndef _WIN32

bool unix_socket_listens(const std::string& path, const std::atomic<bool>& stop) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return connects(reinterpret_cast<const sockaddr*>(&address), sizeof address, stop);
}

#endif

}  // namespace

bool listens(const std::string& address, const std::atomic<bool>& stop) {
  if (address.rfind("unix:", 0) == 0) return unix_socket_listens(address.substr(5), stop);
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return false;
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);

  [[maybe_unused]] const SocketLibrary library;
  addrinfo hints{}, *found = nullptr;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(host.c_str(), address.c_str() + colon + 1, &hints, &found) != 0) return true;
  const bool connected = connects(found->ai_addr, found->ai_addrlen, stop);
  freeaddrinfo(found);
  return connected;
}

}  // namespace townsfolk
