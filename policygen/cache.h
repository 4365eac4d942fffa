/* Summaries kept between runs, one file per object: found by the object's identity, used only where the digest of the
 * object's content, the analyser and the API table are those they were made from. Whoever can write to the directory can
 * change policies: it must be as trusted as the programs themselves.
 */
#ifndef PINION_POLICYGEN_CACHE_H
#define PINION_POLICYGEN_CACHE_H

#include "policygen/summary.h"

#define CACHE_DIGEST_BYTES 32

struct cache {
    const char *directory;
};

/* What names the summary of one object. */
struct cache_key {
    struct identity identity;
    uint8_t digest[CACHE_DIGEST_BYTES]; /* SHA-256 of the file */
};

/* Makes the directory if it is not there. Ends the process when it cannot be used. */
void cache_open(struct cache *cache, const char *directory);

/* Reads the whole file. Returns false and sets errno when it cannot. */
bool cache_key(int fd, const struct identity *identity, struct cache_key *key);

/* The summary, opened, in memory that the caller frees; NULL when there is none. A file that is not what was once
 * stored there is reported and passed over. */
void *cache_load(const struct cache *cache, const struct cache_key *key, struct summary *summary);
void cache_store(const struct cache *cache, const struct cache_key *key, const void *memory, size_t size);

#endif
