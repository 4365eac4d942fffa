/* Counts the arguments of all sites of many policies, each (object, site) once however many programs share the object:
 * where their policies differ, the weaker rule counts. Places that a policy allows only because some pointer may lead
 * there are no sites of the program's own; they are counted apart.
 */
#ifndef PINION_PRECISION_TALLY_H
#define PINION_PRECISION_TALLY_H

#include "tests/precision/classify.h"

/* One argument of one site as one policy rules it. A site that is the program's own has one more row, for the site
 * itself, with argument SITE_ITSELF. */
#define SITE_ITSELF 0xff

struct row {
    uint32_t object; /* index into tally->objects */
    uint32_t offset;
    uint16_t api;
    uint8_t argument;
    uint8_t form;
    uint16_t reason;   /* index into tally->reasons; 0: none */
    uint32_t partial;  /* values known beside `any` */
    uint32_t function; /* index into tally->names */
};

struct words {
    char **items;
    size_t count;
};

struct tally {
    struct row *rows;
    size_t row_count;
    struct words objects, reasons, names;
};

/* Modules for which `is_measured` is false are left out. */
void tally_add(struct tally *tally, const struct document *document,
               bool (*is_measured)(const char *path, const void *what), const void *what);
/* Sorts, and leaves one row, the weakest, of each (object, site, argument). */
void tally_finish(struct tally *tally);
void tally_free(struct tally *tally);

/* Counts of one pool of arguments. */
struct pool {
    size_t forms[FORM_COUNT];
    size_t *reasons; /* per reason: how many are unknown for it; owned */
    size_t total;
};

/* Adds the rows for which `belongs` is true. */
struct pool pool_make(const struct tally *tally, bool (*belongs)(const struct row *row, const void *what),
                      const void *what);
void pool_free(struct pool *pool);
double pool_percent(const struct pool *pool, enum form form);

struct site_counts {
    size_t sites;         /* all sites of the programs' own */
    size_t constrainable; /* those with an argument that a rule can constrain */
    size_t constrained;   /* those with an argument that is constrained */
};

struct site_counts tally_sites(const struct tally *tally);

#endif
