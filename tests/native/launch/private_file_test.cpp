#include "private_file.h"

#include <sys/stat.h>

#include <set>
#include <system_error>

#include "own_folder.h"

namespace townsfolk {
namespace {

using PrivateFile = OwnFolder;

TEST_F(PrivateFile, IsForItsOwnerOnlyWhateverTheMaskSays) {
  const fs::path file = folder / "geheim ü";
  write(file, "somebody else's, and longer than what follows");
  ::chmod(file.c_str(), 0666);
  const mode_t before = ::umask(0);
  write_private_file(file, "open sesame");
  ::umask(before);
  EXPECT_EQ(content_of(file), "open sesame");
  EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 1);
}

TEST_F(PrivateFile, SaysWhyItCannotBeWritten) {
  EXPECT_THROW(write_private_file(folder / "missing" / "file", "x"), std::system_error);
}

TEST(RandomToken, IsLongAndNeverTheSame) {
  std::set<std::string> tokens;
  for (int i = 0; i < 1000; ++i) tokens.insert(random_token());
  EXPECT_EQ(tokens.size(), 1000u);
  EXPECT_EQ(tokens.begin()->size(), 64u);
  EXPECT_EQ(tokens.begin()->find_first_not_of("0123456789abcdef"), std::string::npos);
}

}  // namespace
}  // namespace townsfolk
