/* What every generated program begins with: it stands beside the program. The program is one function ENTRY, main
 * unless it is built as a library; then a second build of the same file, with CALLER, makes the main program.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef ENTRY
#define ENTRY main
#endif

/* The compiler knows nothing of the value any more, nor of memory. */
#define HIDE(value) __asm__ volatile("" : "+r"(value) : : "memory")
#define HIDE_MEMORY(value) __asm__ volatile("" : "+m"(value))
#define ROTATE(value, by) (int)((unsigned)(value) << (by) | (unsigned)(value) >> (32 - (by)))

extern char **environ;
volatile long effect;
static char *const vector[] = {(char *)"x", 0};
static jmp_buf next_run;

static __attribute__((noinline, noreturn)) void leave(void) {
    longjmp(next_run, 1);
}

static __attribute__((noinline, cold)) int seldom(int number) {
    return (int)(effect += number);
}

#ifdef __cplusplus
static __attribute__((noinline)) void throws(int whether) {
    effect++;
    if (whether)
        throw 1;
}
#endif

static __attribute__((noinline)) void jump(jmp_buf place) {
    effect++;
    longjmp(place, 1);
}

static __attribute__((noinline)) void handle(void (*handler)(int)) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_UNBLOCK, &set, 0);
    signal(SIGUSR1, handler);
    raise(SIGUSR1);
}
