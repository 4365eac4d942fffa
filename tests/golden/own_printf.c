/* Functions of the object's own that have a library's name: what they do is known only where the name belongs to one
 * library in all programs, and is exported.
 * build: gcc -O1 -rdynamic -fno-builtin -o $out $name.c
 * build: gcc -O2 -rdynamic -fno-builtin -o $out $name.c
 * build: clang -O2 -rdynamic -fno-builtin -o $out $name.c
 * reasons: ignored
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#ifdef __clang__
#define SEPARATE __attribute__((noinline))
#else
#define SEPARATE __attribute__((noinline, noipa))
#endif

volatile int number;

SEPARATE int pg_snprintf(char *to, size_t size, const char *format, ...) {
    va_list list;
    va_start(list, format);
    int length = vsnprintf(to, size, format, list);
    va_end(list);
    return length;
}

/* Not what it seems. */
SEPARATE char *stpcpy(char *restrict to, const char *restrict from) {
    to[0] = (char)number;
    to[1] = from[1];
    to[2] = '\0';
    return to + 2;
}

SEPARATE int known(void) {
    char path[64];
    pg_snprintf(path, sizeof path, "pg_wal/%d", number);
    return unlink(path);
}

SEPARATE int replaced(void) {
    char path[64];
    stpcpy(path, "/a");
    return rmdir(path);
}

int main(int count, char **list) {
    (void)list;
    number = count;
    return known() + replaced();
}
