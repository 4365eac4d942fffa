/* The comparison of the API table with the functions that a libc exports. The table comes as a list of names, so
 * that the test can show what happens when a row is missing.
 */
#ifndef PINION_TESTS_SYMBOLS_H
#define PINION_TESTS_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The functions that one libc exports, in all versions, GLIBC_PRIVATE included: dlsym finds them as well. */
struct symbol_list {
    struct symbol {
        const char *name; /* in the mapped file */
        uint64_t address;
    } * symbols;
    size_t count;
    void *file;
    size_t file_size;
};

/* False with a line on standard error if the file is no shared object of this machine. */
bool symbol_list_read(struct symbol_list *list, const char *path);
void symbol_list_free(struct symbol_list *list);
bool symbol_list_has(const struct symbol_list *list, const char *name);

/* What a name is below its decorations: "__open64_2", "_IO_open" and "__libc_open64" are all "open", "_Fork" is
 * "fork". */
void base_name(const char *name, char *base, size_t size);

/* Calls `report` for each exported function that is not in `names` but has the address or the base name of one
 * that is. `sibling` is the listed one. */
void find_siblings(const struct symbol_list *libc, const char *const *names, size_t count,
                   void (*report)(const char *symbol, const char *sibling, void *data), void *data);

#endif
