/* A hash table of names (FNV-1a, linear probing). Nothing is ever taken out. */
#include "policygen/map.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"

static struct map_item *find(const struct map *map, const char *name) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *at = name; *at != 0; at++)
        hash = (hash ^ (uint8_t)*at) * 0x100000001b3u;
    for (size_t i = hash & (map->capacity - 1);; i = (i + 1) & (map->capacity - 1)) {
        struct map_item *item = &map->items[i];
        if (item->name == NULL || strcmp(item->name, name) == 0)
            return item;
    }
}

void *map_get(const struct map *map, const char *name) {
    return map->capacity == 0 ? NULL : find(map, name)->value;
}

static void grow(struct map *map) {
    struct map larger = {.capacity = map->capacity == 0 ? 64 : 2 * map->capacity, .count = map->count};
    larger.items = xcalloc(larger.capacity, sizeof *larger.items);
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->items[i].name != NULL)
            *find(&larger, map->items[i].name) = map->items[i];
    }
    free(map->items);
    *map = larger;
}

void map_put(struct map *map, const char *name, void *value) {
    if (2 * map->count >= map->capacity)
        grow(map);
    *find(map, name) = (struct map_item){xstrdup(name), value};
    map->count++;
}

void map_free(struct map *map) {
    for (size_t i = 0; i < map->capacity; i++)
        free(map->items[i].name);
    free(map->items);
}
