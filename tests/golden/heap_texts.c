/* Paths, names and commands in new memory, made by strdup, asprintf and the like from constant templates.
 * build: gcc -O0 -o $out $name.c
 * build: gcc -O1 -o $out $name.c
 * build: gcc -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -o $out $name.c
 * build: gcc -Os -o $out $name.c
 * build: gcc -O3 -no-pie -o $out $name.c
 * build: clang -O0 -o $out $name.c
 * build: clang -O1 -o $out $name.c
 * build: clang -O2 -D_FORTIFY_SOURCE=2 -o $out $name.c
 * build: clang -O3 -o $out $name.c
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __clang__
#define SEPARATE __attribute__((noinline))
#else
#define SEPARATE __attribute__((noinline, noipa))
#endif

volatile int number;
const char *volatile text;

SEPARATE int printed(void) {
    char *path;
    if (asprintf(&path, "/p/%d/%s", number, "status") < 0)
        return -1;
    int fd = open(path, O_RDONLY);
    free(path);
    return fd;
}
/* The text is read, and the loop goes over it again. */
SEPARATE int read_meanwhile(void) {
    char *path;
    int fd = -1;
    if (asprintf(&path, "/q/%s", text) < 0)
        return -1;
    for (int i = 0; i < number && fd < 0; i++) {
        if (strlen(path) > 3 && access(path, R_OK) == 0)
            fd = open(path, O_RDONLY);
    }
    free(path);
    return fd;
}
SEPARATE int one_of_two(void) {
    char *path;
    if ((number > 3 ? asprintf(&path, "/r/%d", number) : asprintf(&path, "/s/%x", (unsigned)number)) < 0)
        return -1;
    int fd = open(path, O_WRONLY);
    free(path);
    return fd;
}
SEPARATE int command(void) {
    char *line;
    if (asprintf(&line, "/bin/ls -l %d", number) < 0)
        return -1;
    int status = system(line);
    free(line);
    return status;
}
SEPARATE int copied(void) {
    char name[32];
    snprintf(name, sizeof name, "/c/%d", number);
    char *copy = strdup(name);
    if (copy == NULL)
        return -1;
    int status = unlink(copy);
    free(copy);
    return status;
}
SEPARATE int listed(void) {
    char *line;
    if (asprintf(&line, "ls %d", number) < 0)
        return -1;
    return execl("/bin/sh", "sh", "-c", line, (char *)NULL);
}
SEPARATE int vector(void) {
    char *name;
    if (asprintf(&name, "--number=%d", number) < 0)
        return -1;
    char *arguments[] = {"tool", name, NULL};
    return execv("/bin/tool", arguments);
}

int main(int count, char **list) {
    number = count;
    text = list[0];
    return printed() + read_meanwhile() + one_of_two() + command() + copied() + listed() + vector();
}
