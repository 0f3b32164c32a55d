#include "file_lock.h"

#include <sys/wait.h>
#include <unistd.h>

#include <system_error>

#include "own_folder.h"

namespace townsfolk {
namespace {

using Lock = OwnFolder;

TEST_F(Lock, IsHeldByOneAtATime) {
  FileLock first(folder / "lock"), second(folder / "lock");
  {
    FileLock third(folder / "lock");
    EXPECT_TRUE(third.try_lock());
    EXPECT_FALSE(first.try_lock());
  }
  EXPECT_TRUE(first.try_lock());
  EXPECT_FALSE(second.try_lock());
}

TEST_F(Lock, IsFreeOnceItsHolderIsKilled) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t holder = ::fork();
  if (holder == 0) {
    FileLock lock(folder / "lock");
    const char taken = lock.try_lock() ? 'y' : 'n';
    if (::write(ready[1], &taken, 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char taken = 'n';
  ASSERT_EQ(::read(ready[0], &taken, 1), 1);
  ASSERT_EQ(taken, 'y');
  FileLock lock(folder / "lock");
  EXPECT_FALSE(lock.try_lock());
  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
  EXPECT_TRUE(lock.try_lock());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(Lock, SaysWhyItCannotBeOpened) { EXPECT_THROW(FileLock(folder / "missing" / "lock"), std::system_error); }

}  // namespace
}  // namespace townsfolk
