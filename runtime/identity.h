/* What names a program or shared object: its build-id, or where it has none a digest of its program headers
 * and the first page of its code. Free of libc.
 */
#ifndef PINION_RUNTIME_IDENTITY_H
#define PINION_RUNTIME_IDENTITY_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IDENTITY_BYTES 20 /* longer build-ids are cut */

enum identity_kind {
    IDENTITY_NONE,
    IDENTITY_BUILD_ID,
    IDENTITY_DERIVED,
};

struct identity {
    uint8_t bytes[IDENTITY_BYTES];
    uint8_t length;
    uint8_t kind; /* enum identity_kind */
    uint8_t reserved[2];
};

/* Reads the identity of an object as the loader maps it. `at` returns the address at which `length` bytes of the
 * object's virtual address `address` can be read, or NULL: base plus address inside a process, a file's contents
 * for the analyser. Never fails; kind is IDENTITY_NONE when nothing could be read. */
typedef const void *(*identity_reader)(void *context, uint64_t address, size_t length);
struct identity identity_read(const Elf64_Phdr *headers, size_t count, identity_reader at, void *context);

/* An object without an identity equals nothing, not even another one. */
bool identity_equal(const struct identity *a, const struct identity *b);

/* Lower-case hexadecimal, "derived:" before it where it is no build-id. Returns the length without the final NUL. */
#define IDENTITY_TEXT_BYTES (2 * IDENTITY_BYTES + 9)
size_t identity_format(const struct identity *identity, char text[IDENTITY_TEXT_BYTES]);
/* Takes what identity_format writes ("none" for IDENTITY_NONE), digits in either case, and longer build-ids. */
bool identity_parse(const char *text, struct identity *identity);

#endif
