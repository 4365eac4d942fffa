/* The journal's file: made, opened and looked at before anything in it is believed. For journal.c alone.
 */
#ifndef PINION_TOOLS_PATCH_JOURNAL_FILE_H
#define PINION_TOOLS_PATCH_JOURNAL_FILE_H

#include <sqlite3.h>

#include "tools/patch/journal.h"

#define JOURNAL_STATEMENTS_MOST 32

struct journal {
    sqlite3 *database;
    char *path;
    pid_t owner;
    char *boot; /* which start of the machine this is */
    sqlite3_stmt *statements[JOURNAL_STATEMENTS_MOST];
};

/* {incident} and {step} stand for columns, {incident=} for those that may change with their parameters, {incident?} and
 * {step?} for the parameters alone: the number of a field's parameter is its place in the table, from 1 on. The caller
 * frees. */
char *journal_expand(const char *text);

/* Statements without parameters or answers. */
bool journal_run(sqlite3 *database, const char *text);

/* What was asked of the database has failed, or what is in it makes no sense: nothing may be done that is not in it. */
_Noreturn void journal_give_up(const struct journal *journal);
_Noreturn void journal_damaged(const struct journal *journal, const char *what);

#endif
