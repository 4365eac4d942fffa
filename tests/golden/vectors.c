/* Argument vectors: built in the frame, constant, and listed.
 * build: gcc -O0 -o $out $name.c
 * build: gcc -O1 -o $out $name.c
 * build: gcc -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -o $out $name.c
 * build: gcc -Os -o $out $name.c
 * build: gcc -O3 -no-pie -o $out $name.c
 * build: clang -O0 -o $out $name.c
 * build: clang -O1 -o $out $name.c
 * build: clang -O2 -D_FORTIFY_SOURCE=2 -o $out $name.c
 * build: clang -O3 -o $out $name.c
 * reasons: ignored
 */
#define _GNU_SOURCE
#include <spawn.h>
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
extern char **environ;
char **kept;

SEPARATE void keep(char **vector) {
    kept = vector;
}

SEPARATE int shell(void) {
    char *vector[] = {"sh", "-c", (char *)text, NULL};
    return execv("/bin/1", vector);
}
SEPARATE int with_buffer(void) {
    char descriptor[16];
    snprintf(descriptor, sizeof descriptor, "%d", number);
    char *vector[] = {"helper", "--fd", descriptor, NULL};
    return execv("/bin/2", vector);
}
SEPARATE int constant(void) {
    static char *const vector[] = {"constant", "-x", NULL};
    return execv("/bin/3", vector);
}
SEPARATE int listed(void) {
    return execl("/bin/4", "listed", "one", "two", "three", text, "five", "six", (char *)NULL);
}
SEPARATE int maybe_longer(void) {
    char *vector[4] = {"base", NULL, NULL, NULL};
    if (number > 3)
        vector[1] = "more";
    return execv("/bin/5", vector);
}
SEPARATE int counted(void) {
    char *vector[16];
    int count = 0;
    vector[count++] = "counted";
    for (int i = 0; i < number && count < 15; i++)
        vector[count++] = "again";
    vector[count] = NULL;
    return execv("/bin/6", vector);
}
SEPARATE int handed_out(void) {
    char *vector[3] = {"out", NULL, NULL};
    keep(vector);
    return execv("/bin/7", vector);
}
SEPARATE int spawned(void) {
    pid_t child;
    char *vector[] = {"spawned", "-q", NULL};
    return posix_spawn(&child, "/bin/8", NULL, NULL, vector, environ);
}
SEPARATE int no_end(char **rest) {
    char *vector[64];
    vector[0] = "front";
    vector[1] = "-i";
    memcpy(vector + 2, rest, 60 * sizeof *rest);
    return execv("/bin/9", vector);
}

int main(int count, char **list) {
    number = count;
    text = list[0];
    return shell() + with_buffer() + constant() + listed() + maybe_longer() + counted() + handed_out() + spawned() +
           no_end(list);
}
