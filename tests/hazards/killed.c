/* Meets the verdict "kill" with every handler installed that a program may have: none of them runs. As the first process
 * of a container it survives signals; in a child of vfork only the child ends.
 *
 *   killed [vfork]
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/hazards/hazard.h"

static void handle(int signal_number) {
    dprintf(1, "signal %d\n", signal_number);
    _exit(1);
}

static void at_exit(void) {
    dprintf(1, "at exit\n");
}

__attribute__((noinline)) static void violate(void) {
    open(writable("/etc/passwd"), O_RDONLY);
    dprintf(1, "went on\n");
}

int main(int count, char **arguments) {
    (void)arguments;
    for (int i = 1; i < 32; i++)
        signal(i, handle);
    atexit(at_exit);
    if (getpid() == 1)
        dprintf(1, "first process, still there after SIGKILL: %d\n", kill(1, SIGKILL));
    if (count == 1) {
        violate();
        return 0;
    }
    signal(SIGCHLD, SIG_DFL);
    int status = 0;
    pid_t child = vfork();
    if (child == 0) {
        violate();
        _exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status));
    dprintf(1, "child %d\n", WEXITSTATUS(status));
    _exit(0);
}
