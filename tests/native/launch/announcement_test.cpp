#include "announcement.h"

#include <unistd.h>

#include "own_folder.h"
#include "state_folder.h"

namespace townsfolk {
namespace {

class ReadAnnouncement : public OwnFolder {
 protected:
  void announce(const std::string& json) { write(state / "daemon.json", json); }

  void announce_living(const std::string& address, const std::string& more = "") {
    announce(R"({"address": ")" + address + R"(", "pid": )" + std::to_string(::getpid()) + more + "}");
  }
};

TEST_F(ReadAnnouncement, GivesWhatTheDaemonHasWritten) {
  announce_living("127.0.0.1:50551",
                  R"(, "version": "0.1.0", "started": 1795000000.25, "token": "s\u00e9same ouvre-toi",
                     "tls_certificate": "/etc/stadt/b\u00fcrger.pem", "folder": "/home/j\u00fcrgen", "phase": "serving",
                     "unknown_to_us": [1, {"a": null}])");
  const auto found = read_announcement();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->address, "127.0.0.1:50551");
  EXPECT_EQ(found->token, "sésame ouvre-toi");
  EXPECT_EQ(found->tls_certificate, "/etc/stadt/bürger.pem");
  EXPECT_EQ(found->pid, ::getpid());
}

TEST_F(ReadAnnouncement, IsNothingWithoutOne) {
  EXPECT_FALSE(read_announcement());
  fs::create_directories(state / "daemon.json");
  EXPECT_FALSE(read_announcement());
}

TEST_F(ReadAnnouncement, IsNothingWhenDamaged) {
  const std::string pid = std::to_string(::getpid());
  for (const std::string& damaged :
       {std::string(), std::string("{"), std::string("[]"), std::string("7"), std::string("\xff\xfe{}"),
        std::string(70'000, ' '), std::string(60'000, '['), std::string(R"({"address": "127.0.0.1:1"})"),
        R"({"pid": )" + pid + "}", R"({"address": "nowhere", "pid": )" + pid + "}",
        R"({"address": 7, "pid": )" + pid + "}", R"({"address": "127.0.0.1:1", "pid": ")" + pid + R"("})",
        std::string(R"({"address": "127.0.0.1:1", "pid": -1})"), std::string(R"({"address": "127.0.0.1:1", "pid": 0})"),
        std::string(R"({"address": "127.0.0.1:1", "pid": 1e300})"),
        R"({"address": "127.0.0.1:1", "pid": )" + pid + "} trailing"}) {
    announce(damaged);
    EXPECT_FALSE(read_announcement()) << damaged.substr(0, 100);
  }
}

TEST_F(ReadAnnouncement, IsNothingWhenItsProcessIsGone) {
  announce(R"({"address": "127.0.0.1:1", "pid": 4194305})");  // above the largest of Linux
  EXPECT_FALSE(read_announcement());
}

TEST_F(ReadAnnouncement, IsNothingOfADaemonThatStops) {
  announce_living("127.0.0.1:1", R"(, "phase": "stopping")");
  EXPECT_FALSE(read_announcement());
  ASSERT_TRUE(read_announced_daemon());
  EXPECT_EQ(read_announced_daemon()->phase, DaemonPhase::kStopping);
}

TEST_F(ReadAnnouncement, TellsADaemonThatStillLoads) {
  announce_living("127.0.0.1:1", R"(, "phase": "loading")");
  EXPECT_TRUE(read_announcement());
  EXPECT_EQ(read_announced_daemon()->phase, DaemonPhase::kLoading);
}

TEST_F(ReadAnnouncement, ReachesADaemonThatListensEverywhereOnTheLoopback) {
  announce_living("0.0.0.0:7000");
  EXPECT_EQ(read_announcement()->address, "127.0.0.1:7000");
  announce_living("[::]:7000");
  EXPECT_EQ(read_announcement()->address, "[::1]:7000");
  announce_living("unix:/run/town.sock");
  EXPECT_EQ(read_announcement()->address, "unix:/run/town.sock");
}

TEST_F(ReadAnnouncement, FollowsTheRulesOfPlatformdirsForTheFolder) {
  const Variable unset("TOWNSFOLK_STATE_DIR", std::nullopt), home("HOME", "/home/zoë");
  {
    const Variable none("XDG_STATE_HOME", std::nullopt);
    EXPECT_EQ(state_folder(), "/home/zoë/.local/state/townsfolk");
  }
  {
    const Variable relative("XDG_STATE_HOME", "state");
    EXPECT_EQ(state_folder(), "/home/zoë/.local/state/townsfolk");
  }
  const Variable chosen("XDG_STATE_HOME", "/var/zustand");
  EXPECT_EQ(state_folder(), "/var/zustand/townsfolk");
  const Variable overridden("TOWNSFOLK_STATE_DIR", "~/hier");
  EXPECT_EQ(state_folder(), "/home/zoë/hier");
}

}  // namespace
}  // namespace townsfolk
