/* A signal handler on the smallest stack that the kernel delivers to, and 2 KiB, makes all the calls of the program:
 * it is the one to close intervals, to score them and to raise alarms. Below the stack there is no memory.
 */
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "tests/hazards/hazard.h"

#define PAGE 4096u
#define SIGNALS 500

static volatile int handled, wrong;

static void handle(int number) {
    int before = errno;
    (void)number;
    wrong += poll(NULL, 0, 0) != 0;
    wrong += rmdir("/nowhere/at/all") == 0 || errno != ENOENT;
    handled++;
    errno = before;
}

int main(void) {
    size_t frame = getauxval(AT_MINSIGSTKSZ), size = (frame > 0 ? frame : 2048) + 2048;
    size_t room = (size + PAGE - 1) / PAGE * PAGE;
    char *memory = mmap(NULL, PAGE + room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(memory != MAP_FAILED && mprotect(memory + PAGE, room, PROT_READ | PROT_WRITE) == 0);
    stack_t alternate = {.ss_sp = memory + PAGE, .ss_size = size};
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK | SA_RESTART};
    handle(0); /* the loader needs more stack to bind the functions */
    struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    EXPECT(sigaltstack(&alternate, NULL) == 0 && sigaction(SIGALRM, &action, NULL) == 0);
    EXPECT(setitimer(ITIMER_REAL, &often, NULL) == 0);
    while (handled < SIGNALS)
        ;
    EXPECT(setitimer(ITIMER_REAL, &never, NULL) == 0);
    puts(wrong == 0 ? "fine" : "wrong results");
    return 0;
}
