/* Files of our own that have to outlive a kill: a line of text that names the form, numbers in the machine's order, texts
 * with their length before them, and at the end the SHA-256 of it all. What was cut short or changed is refused before
 * anything in it is believed, and what is read is checked nevertheless.
 */
#ifndef PINION_TOOLS_PATCH_PACKED_H
#define PINION_TOOLS_PATCH_PACKED_H

#include "runtime/document.h"

struct packed_writer {
    FILE *out;
    char *data;
    size_t size;
};

void packed_begin(struct packed_writer *writer, const char *magic);
void packed_put(struct packed_writer *writer, uint64_t number);
void packed_put_bytes(struct packed_writer *writer, const void *data, size_t size);
void packed_put_text(struct packed_writer *writer, const char *text); /* NULL is written as "" */
/* The caller frees. */
char *packed_end(struct packed_writer *writer, size_t *size);

struct packed_reader {
    const uint8_t *at, *end;
    bool bad; /* sticks: all that is taken from then on is 0 or NULL */
};

/* `what` is how a mistake names the form: "manifest". */
bool packed_open(struct packed_reader *reader, const void *data, size_t size, const char *magic, const char *what,
                 struct mistake *mistake);
uint64_t packed_take(struct packed_reader *reader, uint64_t most);
/* Of things that take at least 8 bytes each. */
size_t packed_take_count(struct packed_reader *reader);
/* With a NUL behind them; the caller frees. NULL only after something bad. */
uint8_t *packed_take_bytes(struct packed_reader *reader, size_t most, size_t *size);
char *packed_take_text(struct packed_reader *reader, size_t most); /* holds no NUL; may be "" */
/* Whether all was read, and nothing of it was bad. */
bool packed_close(struct packed_reader *reader, struct mistake *mistake);

#endif
