/* See analyse.h. */
#include "tests/precision/analyse.h"

#include <errno.h>
#include <glob.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "runtime/util.h"

#define REPORT_BYTES (64u << 20)

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double seconds_of(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static pid_t start(char *const *arguments, int output) {
    pid_t child = fork();
    if (child < 0)
        die_with_error("cannot start \"%s\"", arguments[0]);
    if (child == 0) {
        dup2(output, STDOUT_FILENO);
        execv(arguments[0], arguments);
        warn("cannot start \"%s\": %s", arguments[0], strerror(errno));
        _exit(EXIT_ERROR);
    }
    return child;
}

static char *read_whole(FILE *file) {
    char *text = NULL;
    size_t length = 0;
    cleanup_file FILE *stream = xopen_memstream(&text, &length);
    rewind(file);
    for (int byte; (byte = fgetc(file)) != EOF && length < REPORT_BYTES;)
        fputc(byte, stream);
    fflush(stream);
    return text;
}

struct run run_program(char *const *arguments) {
    cleanup_file FILE *output = tmpfile();
    if (output == NULL)
        die_with_error("cannot make a temporary file");
    double begin = now();
    pid_t child = start(arguments, fileno(output));
    int status;
    struct rusage usage;
    if (wait4(child, &status, 0, &usage) != child)
        die_with_error("cannot wait for \"%s\"", arguments[0]);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_FINE)
        die("\"%s ... %s\" ended with status 0x%x: see its message above", arguments[0], arguments[1], status);
    return (struct run){.report = read_whole(output),
                        .seconds = now() - begin,
                        .processor_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime),
                        .peak_kib = usage.ru_maxrss};
}

/* ---- Lists of runs ---- */

/* PATTERN or --OPTION=PATTERN. */
static void add_word(struct command *command, const char *word, const char *path, unsigned line) {
    glob_t found;
    const char *equals = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;
    int option = equals == NULL ? 0 : (int)(equals + 1 - word);
    if (glob(word + option, 0, NULL, &found) != 0)
        die("\"%s\" line %u: there is no \"%s\" (on Debian 12, .ci/packages precision installs it)", path, line,
            word + option);
    for (size_t i = 0; i < found.gl_pathc; i++)
        *array_append(command->arguments, command->count) = xasprintf("%.*s%s", option, word, found.gl_pathv[i]);
    globfree(&found);
}

void commands_read(const char *path, struct commands *commands) {
    size_t size;
    cleanup_free char *text = file_read(path, 1u << 20, &size);
    if (text == NULL)
        die_with_error("cannot read \"%s\"", path);
    char *rest = text, *line;
    for (unsigned number = 1; (line = strsep(&rest, "\n")) != NULL; number++) {
        line[strcspn(line, "#")] = 0;
        if (line[strspn(line, " \t")] == 0)
            continue;
        struct command *command = array_append(commands->items, commands->count);
        char *behind;
        for (char *word = strtok_r(line, " \t", &behind); word != NULL; word = strtok_r(NULL, " \t", &behind))
            add_word(command, word, path, number);
    }
}

void commands_free(struct commands *commands) {
    for (size_t i = 0; i < commands->count; i++) {
        for (size_t j = 0; j < commands->items[i].count; j++)
            free(commands->items[i].arguments[j]);
        free(commands->items[i].arguments);
    }
    free(commands->items);
}
