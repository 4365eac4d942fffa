/* Texts in new memory that are not what they were made.
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
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __clang__
#define SEPARATE __attribute__((noinline))
#else
#define SEPARATE __attribute__((noinline, noipa))
#endif

char *kept;
volatile int number;
const char *volatile text;

SEPARATE void change(char *path) {
    path[number & 3] = (char)number;
}
SEPARATE void change_kept(void) {
    if (kept != NULL)
        kept[number & 3] = (char)number;
}
SEPARATE void replace(char **path) {
    *path = strdup(text);
}

SEPARATE int written(void) {
    char *path;
    if (asprintf(&path, "/t1/%d", number) < 0)
        return -1;
    path[number & 3] = (char)number;
    return open(path, O_RDONLY);
}
SEPARATE int cut_at(void) {
    char *path;
    if (asprintf(&path, "/t2/%d/file", number) < 0)
        return -1;
    char *slash = strrchr(path, '/');
    if (slash != NULL)
        *slash = '\0';
    return open(path, O_RDONLY);
}
SEPARATE int handed_on(void) {
    char *path;
    if (asprintf(&path, "/t3/%d", number) < 0)
        return -1;
    change(path);
    return open(path, O_RDONLY);
}
SEPARATE int published(void) {
    char *path;
    if (asprintf(&path, "/t4/%d", number) < 0)
        return -1;
    kept = path;
    change_kept();
    return open(path, O_RDONLY);
}
SEPARATE int replaced(void) {
    char *path;
    if (asprintf(&path, "/t5/%d", number) < 0)
        return -1;
    replace(&path);
    return open(path, O_RDONLY);
}
/* The file's name is what mkstemp made of it. */
SEPARATE int filled_in(void) {
    char *path;
    if (asprintf(&path, "/t6/%d-XXXXXX", number) < 0)
        return -1;
    close(mkstemp(path));
    return open(path, O_RDONLY);
}
SEPARATE int read_over(void) {
    char *path = strdup("/t7/0123456789012345678901234567890");
    if (path == NULL || read(0, path, 30) < 0)
        return -1;
    return open(path, O_RDONLY);
}
SEPARATE int printed_over(void) {
    char *path = strdup("/t8/0123456789012345678901234567890");
    if (path == NULL)
        return -1;
    sprintf(path + 2, "%s", text);
    return open(path, O_RDONLY);
}
/* Behind the loop's first turn. */
SEPARATE int later_turn(void) {
    char *path;
    if (asprintf(&path, "/t9/%d", number) < 0)
        return -1;
    for (int i = 0; i < number; i++) {
        int fd = open(path, O_RDONLY);
        if (fd >= 0)
            return fd;
        path[i & 3] = (char)number;
    }
    return -1;
}
/* The older of two texts, which was changed before the younger one was made. */
SEPARATE int older(void) {
    char *path = NULL, *last = NULL;
    for (int i = 0; i < number; i++) {
        if (asprintf(&path, "/u1/%d", i) < 0)
            return -1;
        if (last != NULL && open(last, O_RDONLY) >= 0)
            return 0;
        path[i & 3] = (char)number;
        last = path;
    }
    return -1;
}
SEPARATE int other_source(const char *name) {
    char *path = (char *)(size_t)name;
    if (number > 3)
        replace(&path);
    else if (asprintf(&path, "/u2/%d", number) < 0)
        return -1;
    return open(path, O_RDONLY);
}
SEPARATE int part_of_it(void) {
    char *path;
    if (asprintf(&path, "/u3/%d", number) < 0)
        return -1;
    return open(path + (number & 3), O_RDONLY);
}
SEPARATE int formatted(const char *format, ...) {
    char *path;
    va_list list;
    va_start(list, format);
    int length = vasprintf(&path, format, list);
    va_end(list);
    return length < 0 ? -1 : open(path, O_RDONLY);
}
SEPARATE int listed(void) {
    char *line;
    if (asprintf(&line, "/u5/%d", number) < 0)
        return -1;
    change(line);
    return execl("/bin/sh", "sh", "-c", line, (char *)NULL);
}

int main(int count, char **list) {
    number = count;
    text = list[0];
    return written() + cut_at() + handed_on() + published() + replaced() + filled_in() + read_over() + printed_over() +
           later_turn() + older() + other_source(list[0]) + part_of_it() + formatted("/u4/%d", count) + listed();
}
