/* Buffers whose content looks known and is not, or is more than it looks.
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
#include <libintl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEPARATE __attribute__((noinline, noipa))
#ifdef __clang__
#undef SEPARATE
#define SEPARATE __attribute__((noinline))
#endif

char *kept;
char **table;
volatile int number;
const char *volatile text;

/* Not inlined, and the compiler must not know what they do. */
SEPARATE void keep(char *buffer) {
    kept = buffer;
}
SEPARATE void change(void) {
    if (kept != NULL)
        kept[number & 3] = (char)number;
}

/* The end of what does not fit is cut off: any beginning of just that length. */
SEPARATE int truncated(void) {
    char path[12];
    snprintf(path, sizeof path, "/t1/%d/ab", number);
    return open(path, O_RDONLY);
}
SEPARATE int truncated_text(void) {
    char path[64];
    snprintf(path, sizeof path, "/t2/%s.conf", text);
    return open(path, O_RDONLY);
}
/* "/t3/x" needs 6 bytes. */
SEPARATE int truncated_constant(void) {
    char path[5];
    snprintf(path, sizeof path, "/t%d/x", 3 + (number & 0));
    return open(path, O_RDONLY);
}
SEPARATE int written_later(void) {
    char path[64];
    snprintf(path, sizeof path, "/w1/%d", number);
    path[number & 15] = (char)number;
    return open(path, O_RDONLY);
}
SEPARATE int escaped_before(void) {
    char path[64];
    keep(path);
    snprintf(path, sizeof path, "/e1/%d", number);
    change();
    return open(path, O_RDONLY);
}
SEPARATE int escaped_after(void) {
    char path[64];
    snprintf(path, sizeof path, "/e2/%d", number);
    for (int i = 0; i < number; i++) {
        int fd = open(path, O_RDONLY);
        if (fd >= 0)
            return fd;
        keep(path);
    }
    return -1;
}
struct record {
    int id;
    char path[64];
};
SEPARATE int inside_structure(void) {
    struct record record;
    struct record *alias = &record;
    snprintf(record.path, sizeof record.path, "/s1/%d", number);
    keep((char *)alias);
    return open(record.path, O_RDONLY);
}
SEPARATE int through_pointer(void) {
    char path[64];
    char *at = number > 3 ? path + 2 : path + 4;
    snprintf(path, sizeof path, "/p1/%d", number);
    *at = (char)number;
    return open(path, O_RDONLY);
}
SEPARATE int translated(void) {
    char path[64];
    snprintf(path, sizeof path, gettext("/g1/%d"), number);
    return open(path, O_RDONLY);
}
SEPARATE int joined(void) {
    char path[64];
    if (number > 3)
        snprintf(path, sizeof path, "/j1/%d", number);
    else
        strcpy(path, "/j2");
    return open(path, O_RDONLY);
}
SEPARATE int half_filled(void) {
    char path[64];
    if (number > 3)
        snprintf(path, sizeof path, "/h1/%d", number);
    return open(path, O_RDONLY);
}
SEPARATE int formatted(const char *format, ...) {
    char path[64];
    va_list list;
    va_start(list, format);
    vsnprintf(path, sizeof path, "/v1/%d", list);
    va_end(list);
    return open(path, O_RDONLY);
}
SEPARATE int used_again(void) {
    char path[64];
    snprintf(path, sizeof path, "/u1/%d", number);
    int fd = open(path, O_RDONLY);
    if (read(fd, path, sizeof path) > 0)
        return open(path, O_WRONLY);
    return fd;
}
jmp_buf place;
SEPARATE void jump(void) {
    longjmp(place, 1);
}
SEPARATE int jumped(void) {
    char path[64];
    strcpy(path, "/l1");
    if (setjmp(place) == 0) {
        snprintf(path, sizeof path, "/l2/%s", text);
        jump();
    }
    return open(path, O_RDONLY);
}
SEPARATE int appended_in_loop(void) {
    char path[256];
    strcpy(path, text);
    for (int i = 0; i < number; i++)
        strcat(path, text);
    return open(path, O_RDONLY);
}
SEPARATE int bounded_copy(void) {
    char path[64];
    strncpy(path, text, sizeof path);
    return open(path, O_RDONLY);
}
/* A character may be NUL, and so end the text. */
SEPARATE int character(void) {
    char path[32];
    sprintf(path, "/c1/%c.x", number);
    return open(path, O_RDONLY);
}
/* "/n1" and "/n1" with digits between it and "/x": an empty component disappears. */
SEPARATE int empty_component(void) {
    char path[4200];
    sprintf(path, "/n1/%s/x", text);
    return open(path, O_RDONLY);
}
/* The "./" disappears behind a '/'. */
SEPARATE int dot_component(void) {
    char path[4200];
    sprintf(path, "/d1/%s./%.3s", text, text);
    return open(path, O_RDONLY);
}
SEPARATE int counted(void) {
    char path[64];
    strcpy(path, "/k1/x");
    printf("%d%hhn", number, (signed char *)path + 1);
    return open(path, O_RDONLY);
}
SEPARATE int overwritten_beside(void) {
    char path[64];
    snprintf(path, sizeof path, "/o1/%d", number);
    snprintf(path + 4, 8, "%s", text);
    return open(path, O_RDONLY);
}
SEPARATE int zero_size(unsigned size) {
    char path[64];
    strcpy(path, text);
    snprintf(path, size & 0, "/z1/%d", number);
    return open(path, O_RDONLY);
}
SEPARATE int pointer_in_memory(void) {
    char path[64];
    char *list[2] = {path, NULL};
    table = list;
    snprintf(path, sizeof path, "/m1/%d", number);
    change();
    return open(path, O_RDONLY);
}
SEPARATE int own_function_fills(void (*fill)(char *)) {
    char path[64] = "/f1";
    fill(path);
    return open(path, O_RDONLY);
}
SEPARATE int end_pointer(void) {
    char path[16];
    char *at = path + sizeof path - 1;
    strcpy(path, "/r1/0000000000");
    for (unsigned n = (unsigned)number; n != 0; n /= 10)
        *--at = (char)('0' + n % 10);
    return open(path, O_RDONLY);
}

int main(int count, char **list) {
    number = count;
    text = list[0];
    table = list;
    return truncated() + truncated_text() + truncated_constant() + written_later() + escaped_before() +
           escaped_after() + inside_structure() + through_pointer() + translated() + joined() + half_filled() +
           formatted("", count) + used_again() + jumped() + appended_in_loop() + bounded_copy() + character() +
           empty_component() + dot_component() + counted() + overwritten_beside() + zero_size((unsigned)count) +
           pointer_in_memory() + own_function_fills((void (*)(char *))keep) + end_pointer();
}
