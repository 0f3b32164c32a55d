/* A `stderr` of this library's own, for the two objects that take it to lie in their own file; see README.md. */

#define _GNU_SOURCE /* RTLD_DEFAULT */
#include <dlfcn.h>
#include <stddef.h>

__attribute__((visibility("hidden"))) void* own_stderr __asm__("stderr");

__attribute__((constructor)) static void find_stderr(void) {
  void** c_librarys = (void**)dlsym(RTLD_DEFAULT, "stderr");
  own_stderr = c_librarys == NULL ? NULL : *c_librarys;
}
