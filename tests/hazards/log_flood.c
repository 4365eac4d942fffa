/* A log that nobody reads: violations must not block the program, and the next line that gets through tells how many were
 * lost. Starts itself again with a full pipe for standard error.
 *
 *   log_flood
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/hazards/hazard.h"

#define VIOLATIONS 3000

static void violate(int times) {
    for (int i = 0; i < times; i++)
        open("/proc/self/mem", O_RDWR);
}

static void be_child(void) {
    char byte;
    violate(VIOLATIONS);
    write(1, "d", 1);
    read(0, &byte, 1);
    violate(1);
    _exit(0);
}

int main(int count, char **arguments) {
    int log[2], commands[2], answers[2], status = 1;
    char buffer[65536];
    if (count > 1)
        be_child();
    signal(SIGPIPE, SIG_IGN);
    EXPECT(pipe(log) == 0 && pipe(commands) == 0 && pipe(answers) == 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(commands[0], 0);
        dup2(answers[1], 1);
        dup2(log[1], 2);
        close_range(3, ~0U, 0);
        alarm(30);
        execl(arguments[0], arguments[0], "child", (char *)NULL);
        _exit(9);
    }
    close(log[1]);
    close(answers[1]);
    EXPECT(read(answers[0], buffer, 1) == 1);
    for (int asked = 0;;) { /* what is in the pipe, then the line behind it */
        ssize_t length = read(log[0], buffer, sizeof buffer);
        if (length <= 0)
            break;
        fwrite(buffer, 1, (size_t)length, stdout);
        if (!asked++)
            EXPECT(write(commands[1], "g", 1) == 1);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    return 0;
}
