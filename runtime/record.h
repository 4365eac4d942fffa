/* The learn record: a shared, mapped file into which every process of a learning run puts what it observed,
 * each fact once. Bounded: what does not fit is counted as lost, and `pinion learn` then fails. Free of libc.
 *
 * Writers are processes and signal handlers without locks: an entry's space is reserved by adding to `used`, filled,
 * and published by storing its offset into a free slot of the table (compare and swap).
 */
#ifndef PINION_RUNTIME_RECORD_H
#define PINION_RUNTIME_RECORD_H

#include <stdint.h>

#include "runtime/identity.h"

#define RECORD_MAGIC "PINREC\r\n"
#define RECORD_VERSION 2
#define RECORD_DEFAULT_BYTES (64u << 20)

struct record_header {
    char magic[8];
    uint32_t version;
    uint32_t slot_count; /* a power of two; uint32_t slots follow the header: entry offset / 8, or 0 */
    uint64_t size;       /* of the file */
    uint64_t table_fingerprint;
    uint64_t used;   /* bytes from the start of the file; atomic */
    uint64_t lost;   /* facts that found no room; atomic */
    uint64_t unread; /* arguments of calls that were too long to be read; atomic */
};

enum record_argument {
    RECORD_PROGRAM = 0xff, /* text: path of the program `program` */
    RECORD_MODULE = 0xfe,  /* text: path of the module `module` */
    RECORD_SITE = 0xfd,    /* the site was reached */
    RECORD_CHILD = 0xfc,   /* text: a program that was started unprotected */
};

/* A fact: `program`, at `offset` in `module`, passed this value as argument `argument` of `api`. Entries start at
 * multiples of 8. */
struct record_entry {
    uint32_t size; /* of this entry with its text, a multiple of 8 */
    uint16_t api;
    uint8_t argument; /* index, or enum record_argument */
    uint8_t position; /* argv element; 255 from the 255th on */
    uint32_t offset;
    uint32_t text_length;
    int64_t integer; /* as rule_integer; for strings 1 when the pointer was null, in a vector: where it ends */
    struct identity program;
    struct identity module;
    char text[]; /* string (paths normalised), or the bytes of the socket address */
};

#endif
