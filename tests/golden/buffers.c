/* Paths, names and commands that are built in local buffers from constant templates.
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
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __clang__
#define SEPARATE __attribute__((noinline))
#else
#define SEPARATE __attribute__((noinline, noipa))
#endif

volatile int number;
volatile unsigned long large;
const char *volatile text;

SEPARATE int digits(void) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%lu/stat", number, large);
    return open(path, O_RDONLY);
}
SEPARATE int hexadecimal(void) {
    char path[64];
    sprintf(path, "/a/%x-%08lx/%p*100%%", (unsigned)number, large, (void *)text);
    return open(path, O_RDONLY);
}
SEPARATE int padded(void) {
    char path[64];
    sprintf(path, "/b/%05d/%5d", number, number);
    return open(path, O_RDONLY);
}
SEPARATE int constant_text(void) {
    char path[64];
    snprintf(path, sizeof path, "/c/%s/%.2s/%d", "name", "shortened", number);
    return open(path, O_RDONLY);
}
SEPARATE int copied(void) {
    char path[64];
    strcpy(path, "/d/copied");
    return unlink(path);
}
SEPARATE int appended(void) {
    char path[4200];
    strcpy(path, "/e/");
    strcat(path, text);
    return unlink(path);
}
SEPARATE int array(void) {
    char template[] = "/tmp/a-long-template-for-a-temporary-file-XXXXXX";
    return mkstemp(template);
}
SEPARATE int nested(void) {
    char directory[32], path[64];
    snprintf(directory, sizeof directory, "/f/%d", number);
    if (mkdir(directory, 0700) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/lock", directory);
    return unlink(path);
}
SEPARATE int either(void) {
    char path[64];
    if (number > 7)
        snprintf(path, sizeof path, "/g/%d", number);
    else
        snprintf(path, sizeof path, "/g/none/%d", number);
    while (number > 8)
        unlink(path);
    return 0;
}
SEPARATE int in_loop(void) {
    char path[64];
    int count = 0;
    for (int i = 0; i < number; i++) {
        snprintf(path, sizeof path, "/h/%d", i);
        count += unlink(path);
    }
    return count;
}
/* Others look at the buffer and change what is beside it. */
SEPARATE int looked_at(void) {
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/i/%d", number);
    if (stat(path, &status) != 0)
        fprintf(stderr, "cannot find %s\n", path);
    return unlink(path);
}
SEPARATE int command(void) {
    char line[4200];
    sprintf(line, "/bin/ls ../%s", text);
    return system(line);
}
SEPARATE int dotted(void) {
    char path[64];
    snprintf(path, sizeof path, "../j//./%d", number);
    return unlink(path);
}

int main(int count, char **list) {
    number = count;
    large = (unsigned long)count;
    text = list[0];
    return digits() + hexadecimal() + padded() + constant_text() + copied() + appended() + array() + nested() +
           either() + in_loop() + looked_at() + command() + dotted();
}
