/* Starts a program again and again under a policy that is cut short or changed in one place: it must be refused with a
 * clear line, or the program runs; it never crashes.
 *
 *   damaged_policy SHIM POLICY SCRATCH PROGRAM [ARGUMENT]...
 */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/hazards/hazard.h"

static char *policy, *scratch, **command, *environment[3];
static size_t size;

static void write_scratch(const char *data, size_t length) {
    int file = open(scratch, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    EXPECT(file >= 0 && write(file, data, length) == (ssize_t)length);
    close(file);
}

/* Runs the program; returns its status and what it said. */
static int run(char *said, size_t room) {
    int ends[2], status = 0;
    size_t used = 0;
    pid_t child = 0;
    posix_spawn_file_actions_t actions;
    EXPECT(pipe2(ends, O_CLOEXEC) == 0 && posix_spawn_file_actions_init(&actions) == 0);
    EXPECT(posix_spawn_file_actions_adddup2(&actions, ends[1], 1) == 0);
    EXPECT(posix_spawn_file_actions_adddup2(&actions, ends[1], 2) == 0);
    EXPECT(posix_spawn(&child, command[0], &actions, NULL, command, environment) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    for (ssize_t length; used < room - 1 && (length = read(ends[0], said + used, room - 1 - used)) > 0;)
        used += (size_t)length;
    said[used] = '\0';
    close(ends[0]);
    EXPECT(waitpid(child, &status, 0) == child);
    return status;
}

static int is_refused(int status, const char *said) {
    return WIFEXITED(status) && WEXITSTATUS(status) == 137 && said[0] == '{' &&
           (strstr(said, "\"reason\":\"bad-policy\"") != NULL || strstr(said, "\"reason\":\"stale-policy\"") != NULL);
}

static void cut(void) {
    char said[8192];
    unsigned tried = 0, refused = 0;
    for (size_t length = 0; length < size; length += length < 512 ? 1 : 1 + size / 300) {
        write_scratch(policy, length);
        int status = run(said, sizeof said);
        tried++;
        refused += is_refused(status, said) != 0;
        if (!is_refused(status, said))
            printf("cut at %zu: status %x, %s\n", length, (unsigned)status, said);
    }
    printf("cut short: %s\n", tried > 512 && refused == tried ? "always refused" : "not always refused");
}

static void change(void) {
    char said[8192];
    unsigned refused = 0, ran = 0, crashed = 0, silent = 0;
    for (size_t at = 0; at < size; at += at < 400 ? 1 : 1 + size / 600) {
        char kept = policy[at];
        policy[at] = (char)(at % 3 == 0 ? ~kept : at % 3 == 1 ? kept + 1 : kept ^ 0x80);
        write_scratch(policy, size);
        policy[at] = kept;
        int status = run(said, sizeof said);
        if (!WIFEXITED(status)) {
            printf("changed at %zu: signal %d\n", at, WTERMSIG(status));
            crashed++;
        } else if (is_refused(status, said)) {
            refused++;
        } else if (WEXITSTATUS(status) == 137 && strstr(said, "\"verdict\":\"kill\"") == NULL) {
            printf("changed at %zu: refused without a reason: %s\n", at, said);
            silent++;
        } else {
            ran++;
        }
    }
    printf("changed: %s\n",
           refused > 100 && ran > 0 && crashed + silent == 0 ? "refused or harmless" : "not always clear");
}

int main(int count, char **arguments) {
    struct stat status;
    EXPECT(count >= 5);
    int file = open(arguments[2], O_RDONLY);
    EXPECT(file >= 0 && fstat(file, &status) == 0);
    size = (size_t)status.st_size;
    policy = malloc(size);
    EXPECT(policy != NULL && read(file, policy, size) == (ssize_t)size);
    scratch = arguments[3];
    command = arguments + 4;
    EXPECT(asprintf(&environment[0], "LD_PRELOAD=%s", arguments[1]) > 0);
    EXPECT(asprintf(&environment[1], "PINION_POLICY=%s", scratch) > 0);
    cut();
    change();
    return 0;
}
