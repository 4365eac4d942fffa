/* Starts a program in ways that make it look like another one, or like none, to who inspects it before the kernel does.
 *
 *   hide_child WAY DIRECTORY PROGRAM: PROGRAM is a base name in DIRECTORY
 */
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "tests/hazards/hazard.h"

extern char **environ;

static char *directory, *vector[2], path[4096], relative[256];
static posix_spawn_file_actions_t actions;

/* ---- exec ---- */

/* The kernel ignores LD_PRELOAD for who has an effective user that is not the real one. */
static void as_another_user(void) {
    EXPECT(setreuid((uid_t)-1, 65534) == 0);
    execv(path, vector);
}

static void as_another_group(void) {
    EXPECT(setregid((gid_t)-1, 65534) == 0);
    execv(path, vector);
}

static void by_fexecve(void) {
    fexecve(open(path, O_PATH), vector, environ);
}

static void by_execveat(void) {
    execveat(open(path, O_PATH), "", vector, environ, AT_EMPTY_PATH);
}

/* The kernel looks for the interpreter "./NAME" of a script in the working directory, not in that of the script. */
static void by_script_elsewhere(void) {
    int scripts = open("scripts", O_RDONLY | O_DIRECTORY);
    EXPECT(scripts >= 0);
    execveat(scripts, vector[0], vector, environ, 0);
}

static void by_path(void) {
    execvp(vector[0], vector);
}

/* ---- posix_spawn: what the child does before it starts the program ---- */

static void spawn(const char *name) {
    pid_t child = 0;
    int status = 0;
    EXPECT(chdir("/") == 0);
    errno = posix_spawn(&child, name, &actions, NULL, vector, environ);
    if (errno != 0)
        return;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    exit(0);
}

static void enter_directory(void) {
    EXPECT(posix_spawn_file_actions_addchdir_np(&actions, directory) == 0);
}

static void spawn_in_opened_directory(void) {
    EXPECT(posix_spawn_file_actions_addopen(&actions, 9, directory, O_RDONLY | O_DIRECTORY, 0) == 0);
    EXPECT(posix_spawn_file_actions_addfchdir_np(&actions, 9) == 0);
    spawn(relative);
}

static void spawn_by_working_directory(void) {
    char name[512];
    snprintf(name, sizeof name, "/proc/self/cwd/%s", vector[0]);
    enter_directory();
    spawn(name);
}

static void spawn_by_descriptor(void) {
    char name[512];
    snprintf(name, sizeof name, "%s/%s", directory, vector[0]);
    EXPECT(posix_spawn_file_actions_addopen(&actions, 9, name, O_RDONLY, 0) == 0);
    spawn("/proc/self/fd/9");
}

static void spawn_after_many_actions(void) {
    for (int i = 0; i < 1024; i++)
        EXPECT(posix_spawn_file_actions_addclose(&actions, 200) == 0);
    enter_directory();
    spawn(relative);
}

static void spawn_after_entering(void) {
    enter_directory();
    spawn(relative);
}

static const struct {
    const char *name;
    void (*start)(void);
} ways[] = {
    {"as-another-user", as_another_user},
    {"as-another-group", as_another_group},
    {"fexecve", by_fexecve},
    {"execveat", by_execveat},
    {"script-elsewhere", by_script_elsewhere},
    {"path", by_path},
    {"opened-directory", spawn_in_opened_directory},
    {"working-directory", spawn_by_working_directory},
    {"descriptor", spawn_by_descriptor},
    {"many-actions", spawn_after_many_actions},
    {"entered-directory", spawn_after_entering},
};

int main(int count, char **arguments) {
    EXPECT(count == 4);
    setvbuf(stdout, NULL, _IONBF, 0);
    directory = arguments[2];
    vector[0] = arguments[3];
    snprintf(path, sizeof path, "%s/%s", directory, vector[0]);
    snprintf(relative, sizeof relative, "./%s", vector[0]);
    EXPECT(posix_spawn_file_actions_init(&actions) == 0);
    EXPECT(chdir(directory) == 0);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (strcmp(ways[i].name, arguments[1]) == 0)
            ways[i].start();
    printf("refused: %s\n", strerror(errno));
    return 0;
}
