#include "daemon_log.h"

#include "own_folder.h"

namespace townsfolk {
namespace {

using DaemonLog = OwnFolder;

TEST_F(DaemonLog, QuotesTheLastError) {
  write(folder / "log", "error: an old one\nhello\nerror: the model is missing\r\nbye\n");
  EXPECT_EQ(last_words(folder / "log"), "the model is missing");
}

TEST_F(DaemonLog, QuotesTheLastLinesWithoutAnError) {
  write(folder / "log", "1\n2\n\n3\nFile \"x\"\n  at line 7\n\tMemoryError\n");
  EXPECT_EQ(last_words(folder / "log"), "3 | File \"x\" |   at line 7 |  MemoryError");
}

TEST_F(DaemonLog, IsQuotedInOneBoundedLineOfUtf8) {
  write(folder / "log", "kaputt \xff \xc3\xbc \xe9\x9b\x1b[31m \xf0\x9f\n" + std::string(100'000, 'x') + "\n");
  const std::string words = last_words(folder / "log");
  EXPECT_EQ(words, std::string(1000, 'x') + " ...");
  write(folder / "log", "kaputt \xff \xc3\xbc \xe9\x9b\x1b[31m \xf0\x9f");
  EXPECT_EQ(last_words(folder / "log"), "kaputt \uFFFD ü \uFFFD\uFFFD [31m \uFFFD\uFFFD");
}

TEST_F(DaemonLog, ThatIsEmptyOrMissingLeavesNoWord) {
  EXPECT_EQ(last_words(folder / "log"), "it left no word");
  write(folder / "log", "\n\n");
  EXPECT_EQ(last_words(folder / "log"), "it left no word");
}

TEST_F(DaemonLog, OfTheDaemonBeforeIsKept) {
  for (const char* life : {"first", "second", "third"}) write(begin_daemon_log(folder), life);
  EXPECT_EQ(content_of(folder / "daemon.log"), "third");
  EXPECT_EQ(content_of(folder / "daemon.previous.log"), "second");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 2);
}

}  // namespace
}  // namespace townsfolk
