/* Remembers something under a name. */
#ifndef PINION_POLICYGEN_MAP_H
#define PINION_POLICYGEN_MAP_H

#include <stddef.h>

struct map_item {
    char *name; /* owned; NULL: empty */
    void *value;
};

struct map {
    struct map_item *items; /* open addressing; a power of two, at most half full */
    size_t capacity, count;
};

/* The value, or NULL. */
void *map_get(const struct map *map, const char *name);
/* The name must be new. */
void map_put(struct map *map, const char *name, void *value);
/* The values are the caller's. */
void map_free(struct map *map);

#endif
