/* Reads /proc/self/maps, a piece at a time, with raw system calls; keeps nothing. */
#include "preload/mappings.h"

#include <linux/fcntl.h>

#include "preload/raw.h"

#define PIECE_BYTES 1024

/* One line: "low-high rwxp ...". Fed byte by byte. */
struct line {
    uint64_t number, low;
    enum {
        LOW,
        HIGH,
        PERMISSIONS,
        REST
    } field;
    unsigned permission;
    bool holds; /* the address lies in it */
};

static int digit(char byte) {
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Returns whether this byte says that the address is executable. */
static bool feed(struct line *line, char byte, uint64_t address) {
    if (byte == '\n') {
        *line = (struct line){0};
    } else if (line->field == LOW || line->field == HIGH) {
        if (digit(byte) >= 0) {
            line->number = line->number << 4 | (uint64_t)digit(byte);
            return false;
        }
        if (line->field == LOW)
            line->low = line->number;
        else
            line->holds = address >= line->low && address < line->number;
        line->number = 0;
        line->field++;
    } else if (line->field == PERMISSIONS) {
        if (line->permission++ == 2)
            return line->holds && byte == 'x';
        if (byte == ' ')
            line->field = REST;
    }
    return false;
}

bool address_is_executable(uint64_t address) {
    long file = raw(__NR_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
    if (raw_failed(file))
        return false;
    struct line line = {0};
    char piece[PIECE_BYTES] = {0};
    bool found = false;
    for (long size; !found && (size = raw(__NR_read, file, piece, sizeof piece)) > 0;)
        for (long i = 0; i < size && !found; i++)
            found = feed(&line, piece[i], address);
    raw(__NR_close, file);
    return found;
}
