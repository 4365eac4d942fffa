/* Finds rows of lookups.def. Nothing here knows of programs.
 */
#include "policygen/lookups.h"

#include <stddef.h>
#include <string.h>

#include "policygen/library.h"

const struct handing_on handing_on_table[] = {
#define HANDS_ON(function, argument) {#function, argument},
#define NAMES(...)
#include "policygen/lookups.def"
};

const unsigned handing_on_count = sizeof handing_on_table / sizeof *handing_on_table;

static const struct known_names known_names[] = {
#define HANDS_ON(function, argument)
#define NAMES(object, places, ...) {object, places, (const char *const[]){__VA_ARGS__, NULL}},
#include "policygen/lookups.def"
};

bool lookups_hands_on(const char *function) {
    for (unsigned i = 0; i < handing_on_count; i++) {
        if (strcmp(handing_on_table[i].function, function) == 0)
            return true;
    }
    return false;
}

const struct known_names *lookups_names(const char *path, const char *soname) {
    for (size_t i = 0; i < sizeof known_names / sizeof *known_names; i++) {
        if (library_is_named(path, soname, known_names[i].object))
            return &known_names[i];
    }
    return NULL;
}
