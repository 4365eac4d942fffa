/* Starts a program with an environment that says nothing of the shim, or lies about it, in every way there is.
 *
 *   start_child empty|null|dirty|cleared|large|as-is WAY PROGRAM [ARGUMENT]...
 */
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <wordexp.h>

#include "tests/hazards/hazard.h"

extern char **environ;

static char *dirty[] = {"LD_PRELOAD=/nowhere/first.so",
                        "PINION_MODE=off",
                        "KEPT=1",
                        "PINION_LOG=/nowhere/log",
                        "LD_PRELOAD=libm.so.6",
                        "LD_AUDIT=/x.so",
                        "PINION_LOG=",
                        "PINION_POLICY=/nowhere/policy",
                        NULL};
static char *empty[] = {NULL};

/* More entries than fit into a few pages. */
static char **large(void) {
    static char *entries[3001];
    for (int i = 0; i < 3000; i++)
        EXPECT(asprintf(&entries[i], "ENTRY_%d=%0100d", i, i) > 0);
    return entries;
}

/* The environment for functions that take one; those that do not find it in environ. */
static char **prepare(const char *how) {
    if (strcmp(how, "null") == 0)
        return environ = NULL;
    if (strcmp(how, "empty") == 0)
        return environ = empty;
    if (strcmp(how, "dirty") == 0)
        return environ = dirty;
    if (strcmp(how, "large") == 0)
        return environ = large();
    if (strcmp(how, "cleared") == 0)
        clearenv();
    return environ;
}

static void print_stream(FILE *stream) {
    char line[4096];
    EXPECT(stream != NULL);
    while (fgets(line, sizeof line, stream) != NULL)
        fputs(line, stdout);
    pclose(stream);
}

static void expand(const char *program) {
    char words[4096];
    wordexp_t result;
    snprintf(words, sizeof words, "$(%s)", program);
    EXPECT(wordexp(words, &result, 0) == 0);
    for (size_t i = 0; i < result.we_wordc; i++)
        puts(result.we_wordv[i]);
}

/* The program's name is relative to a directory that only the child enters. */
static void spawn_elsewhere(char *program, char **vector, char **environment) {
    pid_t child = 0;
    int status = 0;
    char *base = strrchr(program, '/'), name[256];
    posix_spawn_file_actions_t actions;
    snprintf(name, sizeof name, ".%s", base);
    *base = '\0';
    EXPECT(posix_spawn_file_actions_init(&actions) == 0);
    EXPECT(posix_spawn_file_actions_addchdir_np(&actions, program) == 0);
    vector[0] = name;
    errno = posix_spawn(&child, name, &actions, NULL, vector, environment);
    if (errno != 0)
        return;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    exit(0);
}

/* The program is in no file system. */
static void execute_memory(const char *program, char **vector, char **environment) {
    char buffer[65536];
    int from = open(program, O_RDONLY), to = memfd_create("program", 0);
    ssize_t length;
    EXPECT(from >= 0 && to >= 0);
    while ((length = read(from, buffer, sizeof buffer)) > 0)
        EXPECT(write(to, buffer, (size_t)length) == length);
    fexecve(to, vector, environment);
}

typedef int spawn_function(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                           char *const *, char *const *);

static void await(spawn_function *spawn, const char *program, char **vector, char **environment) {
    int status = 0;
    pid_t child = 0;
    errno = spawn(&child, program, NULL, NULL, vector, environment);
    if (errno != 0)
        return;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    exit(0);
}

int main(int count, char **arguments) {
    EXPECT(count >= 4);
    char *way = arguments[2], *program = arguments[3], **vector = arguments + 3, **environment = prepare(arguments[1]);
    setvbuf(stdout, NULL, _IONBF, 0);
    if (strcmp(way, "execve") == 0)
        execve(program, vector, environment);
    else if (strcmp(way, "execv") == 0)
        execv(program, vector);
    else if (strcmp(way, "execvp") == 0)
        execvp(program, vector);
    else if (strcmp(way, "execvpe") == 0)
        execvpe(program, vector, environment);
    else if (strcmp(way, "execl") == 0)
        execl(program, program, vector[1], (char *)NULL);
    else if (strcmp(way, "execlp") == 0)
        execlp(program, program, vector[1], (char *)NULL);
    else if (strcmp(way, "execle") == 0)
        vector[1] != NULL ? execle(program, program, vector[1], (char *)NULL, environment)
                          : execle(program, program, (char *)NULL, environment);
    else if (strcmp(way, "fexecve") == 0)
        fexecve(open(program, O_RDONLY | O_CLOEXEC), vector, environment != NULL ? environment : empty);
    else if (strcmp(way, "execveat") == 0)
        execveat(AT_FDCWD, program, vector, environment, 0);
    else if (strcmp(way, "execveat-empty") == 0)
        execveat(open(program, O_PATH), "", vector, environment, AT_EMPTY_PATH);
    else if (strcmp(way, "SYS_execve") == 0)
        syscall(SYS_execve, program, vector, environment);
    else if (strcmp(way, "SYS_execveat") == 0)
        syscall(SYS_execveat, AT_FDCWD, program, vector, environment, 0);
    else if (strcmp(way, "posix_spawn") == 0)
        await(posix_spawn, program, vector, environment);
    else if (strcmp(way, "posix_spawn-elsewhere") == 0)
        spawn_elsewhere(program, vector, environment);
    else if (strcmp(way, "memory") == 0)
        execute_memory(program, vector, environment);
    else if (strcmp(way, "posix_spawnp") == 0)
        await(posix_spawnp, program, vector, environment);
    else if (strcmp(way, "system") == 0)
        return system(program) != 0;
    else if (strcmp(way, "popen") == 0)
        return print_stream(popen(program, "r")), 0;
    else if (strcmp(way, "wordexp") == 0)
        return expand(program), 0;
    printf("refused: %s\n", strerror(errno));
    return 0;
}
