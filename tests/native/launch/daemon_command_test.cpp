#include "daemon_command.h"

#include "host.h"
#include "own_folder.h"

namespace townsfolk {
namespace {

using Words = std::vector<std::string>;

TEST(SplitCommand, SplitsAtSpacesUnlessQuoted) {
  EXPECT_EQ(split_command("python -m  townsfolk.cli "), (Words{"python", "-m", "townsfolk.cli"}));
  EXPECT_EQ(split_command(R"("/opt/my game/python" -m townsfolk.cli)"),
            (Words{"/opt/my game/python", "-m", "townsfolk.cli"}));
  EXPECT_EQ(split_command(R"(/opt/"my game"/python "" x)"), (Words{"/opt/my game/python", "", "x"}));
  EXPECT_EQ(split_command("  "), Words{});
}

TEST(SplitCommand, KeepsTheBackslashesOfWindows) {
  EXPECT_EQ(split_command(R"("C:\Program Files\Zoë's Game\townsfolk.exe" --x C:\dir\)"),
            (Words{R"(C:\Program Files\Zoë's Game\townsfolk.exe)", "--x", R"(C:\dir\)"}));
}

class FindDaemonCommand : public OwnFolder {
 protected:
  FindDaemonCommand() : path_("PATH", (folder / "elsewhere").string()) {}

  fs::path program(const fs::path& at) { return write_script(folder / at, "exit 0"); }

  std::string complaint(const std::string& command, const fs::path& at) {
    try {
      find_daemon_command(command, at);
    } catch (const CommandNotFound& error) {
      return error.what();
    }
    return "";
  }

 private:
  Variable path_;
};

TEST_F(FindDaemonCommand, TakesTheOneThatWasNamed) {
  const fs::path named = program("Spiele für mich/run");
  const Variable other("TOWNSFOLK_COMMAND", "/bin/sh");
  EXPECT_EQ(find_daemon_command("\"" + named.string() + "\" -m townsfolk.cli", ""),
            (Words{named.string(), "-m", "townsfolk.cli"}));
}

TEST_F(FindDaemonCommand, TakesTheVariableElse) {
  program(".venv/bin/townsfolk");
  const Variable chosen("TOWNSFOLK_COMMAND", "/bin/sh -c x");
  EXPECT_EQ(find_daemon_command("", folder), (Words{"/bin/sh", "-c", "x"}));
}

TEST_F(FindDaemonCommand, LooksForARelativeProgramInTheFolder) {
  const fs::path named = program("game/python/bin/python3");
  EXPECT_EQ(find_daemon_command("python/bin/python3 -m townsfolk.cli", folder / "game"),
            (Words{named.string(), "-m", "townsfolk.cli"}));
}

TEST_F(FindDaemonCommand, LooksForARelativeProgramBesideTheExecutable) {
  const std::string own_name = fs::read_symlink("/proc/self/exe").filename().string();
  EXPECT_EQ(find_daemon_command("./" + own_name, folder), Words{(executable_folder() / "." / own_name).string()});
}

TEST_F(FindDaemonCommand, LooksForABareNameOnThePath) {
  const fs::path named = program("elsewhere/town");
  EXPECT_EQ(find_daemon_command("town --quick", ""), (Words{named.string(), "--quick"}));
}

TEST_F(FindDaemonCommand, FindsAVirtualEnvironmentAboveTheFolder) {
  const fs::path above = program("project/.venv/bin/townsfolk");
  const fs::path path = program("elsewhere/townsfolk");
  fs::create_directories(folder / "project/game/levels");
  EXPECT_EQ(find_daemon_command("", folder / "project/game/levels"), Words{above.string()});
  EXPECT_EQ(find_daemon_command("", folder), Words{path.string()});
}

TEST_F(FindDaemonCommand, PassesOverWhatCannotBeRun) {
  write(folder / ".venv/bin/townsfolk", "not a program");
  fs::create_directories(folder / "elsewhere/townsfolk");
  EXPECT_NE(complaint("", folder), "");
}

TEST_F(FindDaemonCommand, PassesOverAVirtualEnvironmentOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only the administrator can give files away";
  const fs::path planted = program(".venv/bin/townsfolk");
  ASSERT_EQ(::chown(planted.c_str(), 12345, 12345), 0);
  EXPECT_NE(complaint("", folder), "");
}

TEST_F(FindDaemonCommand, SaysWhatWasTriedAndWhatToDo) {
  const std::string nothing = complaint("", folder / "game");
  EXPECT_NE(nothing.find((executable_folder() / "townsfolk").string()), std::string::npos) << nothing;
  EXPECT_NE(nothing.find((folder / "game").string()), std::string::npos) << nothing;
  EXPECT_NE(nothing.find("PATH"), std::string::npos) << nothing;
  EXPECT_NE(nothing.find("pip install"), std::string::npos) << nothing;
  EXPECT_EQ(complaint("town", ""), "there is no program town on the PATH, which the launch command names");
  EXPECT_EQ(complaint("/no/town", ""), "there is no program /no/town, which the launch command names");
  EXPECT_NE(complaint("no/town", folder).find((folder / "no/town").string()), std::string::npos);
  EXPECT_EQ(complaint("  ", ""), "the launch command is empty");
  const Variable chosen("TOWNSFOLK_COMMAND", "/no/town");
  EXPECT_EQ(complaint("", ""), "there is no program /no/town, which TOWNSFOLK_COMMAND names");
}

}  // namespace
}  // namespace townsfolk
