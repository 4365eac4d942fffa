/* vfork and exec: a wrapper around vfork would return twice through one frame and so corrupt the parent. */
#include <sys/wait.h>

#include "tests/hazards/hazard.h"

static int start(const char *path, int round) {
    volatile int before = round * 3, after = round * 7;
    char *arguments[] = {(char *)path, NULL};
    pid_t child = vfork();
    if (child == 0) {
        if (round % 2)
            execv(path, arguments);
        else
            execl(path, path, (char *)NULL);
        _exit(errno == ENOENT ? 3 : 4);
    }
    int status;
    EXPECT(child > 0);
    EXPECT(before == round * 3 && after == round * 7);
    EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

int main(void) {
    for (int round = 0; round < 50; round++) {
        EXPECT(start("/bin/true", round) == 0);
        EXPECT(start("/nowhere/at/all", round) == 3);
    }
    puts("fine");
    return 0;
}
