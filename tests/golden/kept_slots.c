/* Locals beside others whose addresses are handed out: what known functions leave alone, and what others may change.
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

struct pair {
    long number;
    int flags;
};

const char *volatile text;
struct pair *kept;
char *written;

/* The compiler must not know what they do. */
SEPARATE void keep(struct pair *pair) {
    kept = pair;
}
SEPARATE void look(void) {
    if (kept != NULL)
        kept->flags = atoi(text);
}
SEPARATE void fill(struct pair *pair) {
    pair->flags = atoi(text);
}

SEPARATE int beside_printed(void) {
    int flags = O_RDONLY | O_CLOEXEC, number = atoi(text);
    char buffer[32];
    if (snprintf(buffer, sizeof buffer, "%d", number) > 3)
        flags = O_RDWR;
    puts(buffer);
    return open("/beside/printed", flags);
}
SEPARATE int beside_status(void) {
    int flags = O_WRONLY;
    struct stat status;
    if (stat(text, &status) != 0)
        flags = O_WRONLY | O_TRUNC;
    write(1, &status, 16);
    return open("/beside/status", flags);
}
/* A store through a pointer that never was one into the frame. */
SEPARATE int beside_heap(void) {
    int flags = O_WRONLY | O_APPEND;
    struct stat status;
    written = malloc(100);
    if (written == NULL || stat(text, &status) != 0)
        return -1;
    written[status.st_size % 100] = 'x';
    return open("/beside/heap", flags);
}

SEPARATE int filled(void) {
    struct pair pair = {1, O_RDONLY};
    fill(&pair);
    return open("/filled", pair.flags);
}
SEPARATE int looked_at_later(void) {
    struct pair pair = {2, O_RDONLY};
    keep(&pair);
    pair.flags = O_WRONLY;
    look();
    return open("/looked/at/later", pair.flags);
}
SEPARATE int read_into(void) {
    struct pair pair = {3, O_RDONLY};
    if (read(0, &pair, sizeof pair) != sizeof pair)
        puts(text);
    return open("/read/into", pair.flags);
}
SEPARATE int copied_into(void) {
    struct pair pairs[2] = {{4, O_RDONLY}, {5, O_RDONLY}};
    memcpy(pairs, text, (size_t)atoi(text));
    return open("/copied/into", pairs[1].flags);
}
SEPARATE int counted_into(void) {
    struct pair pair = {6, O_RDONLY};
    int *place = &pair.flags;
    printf("%s%n", text, place);
    return open("/counted/into", pair.flags);
}
SEPARATE int stored_in_loop(void) {
    struct pair pairs[3];
    pairs[0].flags = pairs[1].flags = pairs[2].flags = O_RDONLY;
    int count = atoi(text);
    for (struct pair *pair = pairs; count > 0; pair++, count--)
        pair->flags = atoi(text + count);
    return open("/stored/in/loop", pairs[2].flags);
}
/* The stream may have functions of the program behind it. */
SEPARATE int called_back(void) {
    struct pair pair = {10, O_RDONLY};
    keep(&pair);
    pair.flags = O_WRONLY;
    fflush(stdout);
    return open("/called/back", pair.flags);
}

int main(int argc, char **argv) {
    text = argv[argc - 1];
    return beside_printed() + beside_status() + beside_heap() + filled() + looked_at_later() + read_into() +
           copied_into() + counted_into() + stored_in_loop() + called_back();
}
