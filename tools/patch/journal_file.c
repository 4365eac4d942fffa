/* Making and opening the journal. A file may have been made by anyone: its schema must be ours to the letter.
 */
#include "tools/patch/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/fields.h"
#include "tools/patch/proc.h"

#define JOURNAL_VERSION 2
#define BUSY_MILLISECONDS 20000
#define VALUE_BYTES_MOST (1 << 20)
#define LOG_BYTES_KEPT "4194304" /* of the write-ahead log, once its content is in the database */

/* ---- the schema ---- */

static const char *const schema[] = {
    "CREATE TABLE incident ({incident:}) STRICT",
    "CREATE TABLE step ({step:}) STRICT",
    "CREATE TABLE serial (recipe TEXT PRIMARY KEY NOT NULL, highest INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    ("CREATE TABLE restart (time INTEGER NOT NULL, incident INTEGER NOT NULL, root TEXT NOT NULL, "
     "program TEXT NOT NULL, boot TEXT NOT NULL DEFAULT '', uptime INTEGER NOT NULL DEFAULT 0) STRICT"),
    "CREATE TABLE refusal (reason TEXT PRIMARY KEY NOT NULL, count INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE INDEX incident_state ON incident (state, id, repeats)",
    "CREATE INDEX incident_changed ON incident (changed)",
    "CREATE INDEX incident_recipe ON incident (recipe)",
    "CREATE INDEX step_incident ON step (incident)",
    "CREATE INDEX step_begun ON step (begun)",
    "CREATE INDEX step_ended ON step (ended)",
    "CREATE INDEX restart_program ON restart (program, time)",
    "CREATE INDEX restart_time ON restart (time)",
};

/* What makes a journal of version 1 one of version 2. */
static const char upgrade[] = "ALTER TABLE incident ADD COLUMN \"digest\" TEXT;"
                              "ALTER TABLE restart ADD COLUMN boot TEXT NOT NULL DEFAULT '';"
                              "ALTER TABLE restart ADD COLUMN uptime INTEGER NOT NULL DEFAULT 0;";

static const char *const column_types[] = {
    [FIELD_IDENTIFIER] = "INTEGER PRIMARY KEY AUTOINCREMENT",
    [FIELD_TIME] = "INTEGER NOT NULL",
    [FIELD_INTEGER] = "INTEGER NOT NULL",
    [FIELD_SIZE] = "INTEGER NOT NULL",
    [FIELD_NUMBER] = "INTEGER NOT NULL",
    [FIELD_PROCESS] = "INTEGER NOT NULL",
    [FIELD_BOOL] = "INTEGER NOT NULL",
    [FIELD_REAL] = "REAL NOT NULL",
    [FIELD_TEXT] = "TEXT",
    [FIELD_STATE] = "TEXT NOT NULL",
    [FIELD_CLAIM] = "TEXT NOT NULL",
    [FIELD_EVENT] = "BLOB",
};

static void put_columns(const struct fields *fields, char form, FILE *out) {
    const char *comma = "";
    for (size_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (form == '=' && field->fixed)
            continue;
        fputs(comma, out);
        comma = ", ";
        if (form != '?')
            fprintf(out, "\"%s\"", field->name);
        if (form == ':')
            fprintf(out, " %s", column_types[field->kind]);
        if (form == '?' || form == '=')
            fprintf(out, "%s?%zu", form == '=' ? " = " : "", i + 1);
    }
}

char *journal_expand(const char *text) {
    char *expanded = NULL;
    size_t size;
    FILE *out = xopen_memstream(&expanded, &size);
    for (const char *brace; (brace = strchr(text, '{')) != NULL;) {
        const char *end = strchr(brace, '}');
        fwrite(text, 1, (size_t)(brace - text), out);
        put_columns(brace[1] == 'i' ? &incident_fields : &step_fields, end[-1], out);
        text = end + 1;
    }
    fputs(text, out);
    fclose(out);
    return expanded;
}

/* ---- what can go wrong ---- */

static const char *remedy_of(int code) {
    switch (code & 0xff) {
    case SQLITE_FULL: return ": make room on its file system";
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return ": another program holds it; look with fuser which";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_MISMATCH:
        return ": it is damaged. Move it aside together with its -wal and -shm files (sqlite3 FILE .recover saves what "
               "can "
               "be read), then begin a new one";
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return ": reading takes the rights to write in its directory too; become its owner, or copy it together with "
               "its "
               "-wal file";
    case SQLITE_IOERR: return ": look in the kernel's log for what is wrong with its disk";
    default: return "";
    }
}

static bool open_mistake(struct mistake *mistake, const char *path, sqlite3 *database) {
    int code = database ? sqlite3_extended_errcode(database) : SQLITE_NOMEM;
    return text_mistake(mistake, 0, "cannot open the journal \"%s\": %s%s %d", path,
                        database ? sqlite3_errmsg(database) : sqlite3_errstr(code), remedy_of(code), code);
}

_Noreturn void journal_give_up(const struct journal *journal) {
    int code = sqlite3_extended_errcode(journal->database);
    die("cannot go on with the journal \"%s\": %s%s; nothing is done that is not in it", journal->path,
        sqlite3_errmsg(journal->database), remedy_of(code));
}

_Noreturn void journal_damaged(const struct journal *journal, const char *what) {
    die("cannot go on with the journal \"%s\": %s%s", journal->path, what, remedy_of(SQLITE_CORRUPT));
}

/* ---- opening ---- */

static bool check_owner(const char *path, const struct stat *status, struct mistake *mistake) {
    if (status->st_uid != geteuid() && status->st_uid != 0)
        return text_mistake(mistake, 0,
                            "\"%s\" belongs to user %u, who could forge the journal: give it to the user who runs this "
                            "(chown), or name another",
                            path, (unsigned)status->st_uid);
    if (status->st_mode & (S_IWGRP | S_IWOTH))
        return text_mistake(mistake, 0, "\"%s\" can be written by others, who could forge the journal: chmod go-w %s",
                            path, path);
    return true;
}

static bool check_directory(const char *path, bool writable, struct mistake *mistake) {
    cleanup_free char *directory = directory_name(path);
    struct stat status;
    if (writable && mkdir(directory, 0700) != 0 && errno != EEXIST)
        return text_mistake(mistake, 0, "cannot make the directory \"%s\": %s", directory, strerror(errno));
    if (stat(directory, &status) != 0)
        return text_mistake(mistake, 0, "cannot look for a journal in \"%s\": %s", directory, strerror(errno));
    return check_owner(directory, &status, mistake);
}

/* The names must be on the disk before what is in the file counts: the directory may be new, too. */
static bool flush_names(const char *path) {
    cleanup_free char *directory = directory_name(path);
    return directory_flush(path) && directory_flush(directory);
}

/* No descriptor of a journal that exists is opened here: closing it would take SQLite's locks away. */
static bool check_file(const char *path, bool writable, struct mistake *mistake) {
    struct stat status;
    if (lstat(path, &status) != 0 && writable && errno == ENOENT) {
        cleanup_fd int made = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if ((made < 0 && errno != EEXIST) || !flush_names(path))
            return text_mistake(mistake, 0, "cannot make the journal \"%s\": %s", path, strerror(errno));
    }
    if (lstat(path, &status) != 0)
        return text_mistake(mistake, 0,
                            "cannot open the journal \"%s\": %s (`pinion patchd` makes it when it starts; its "
                            "configuration says where)",
                            path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return text_mistake(mistake, 0, "\"%s\" is no journal: it is no regular file", path);
    return check_owner(path, &status, mistake);
}

/* Runs one statement; the first column of its first row as text, which the caller frees, or NULL: none, or an error,
 * which sqlite3_errcode tells. */
static char *query(sqlite3 *database, const char *text) {
    sqlite3_stmt *statement = NULL;
    char *answer = NULL;
    if (sqlite3_prepare_v2(database, text, -1, &statement, NULL) != SQLITE_OK)
        return NULL;
    if (sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_text(statement, 0) != NULL)
        answer = xstrdup((const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return answer;
}

bool journal_run(sqlite3 *database, const char *text) {
    return sqlite3_exec(database, text, NULL, NULL, NULL) == SQLITE_OK;
}

static bool set_version(sqlite3 *database) {
    cleanup_free char *text = xasprintf("PRAGMA user_version = %d", JOURNAL_VERSION);
    return journal_run(database, text);
}

static bool make_tables(sqlite3 *database) {
    for (size_t i = 0; i < sizeof schema / sizeof schema[0]; i++) {
        cleanup_free char *text = journal_expand(schema[i]);
        if (!journal_run(database, text))
            return false;
    }
    return set_version(database);
}

/* Everything that the file says it consists of, in one text. */
static char *schema_of(sqlite3 *database) {
    return query(database, "SELECT group_concat(type || ' ' || name || ' ' || coalesce(sql, '') , '; ') FROM "
                           "(SELECT * FROM sqlite_schema ORDER BY name, type)");
}

/* A trigger, a view or another column would make our statements do what we do not know. */
static bool schema_is_ours(sqlite3 *database) {
    sqlite3 *fresh = NULL;
    bool same = false;
    if (sqlite3_open(":memory:", &fresh) == SQLITE_OK && make_tables(fresh)) {
        cleanup_free char *ours = schema_of(fresh), *theirs = schema_of(database);
        same = ours && theirs && strcmp(ours, theirs) == 0;
    }
    sqlite3_close(fresh);
    return same;
}

/* Two programs may come here at once: the second finds the tables made. */
static bool make_if_empty(sqlite3 *database) {
    if (!journal_run(database, "BEGIN IMMEDIATE"))
        return false;
    cleanup_free char *count = query(database, "SELECT count(*) FROM sqlite_schema");
    if (count && strcmp(count, "0") == 0 && !make_tables(database))
        return false;
    return journal_run(database, "COMMIT");
}

/* What is no journal of ours is left as it was. */
static bool upgrade_if_old(sqlite3 *database) {
    if (!journal_run(database, "BEGIN IMMEDIATE"))
        return false;
    cleanup_free char *version = query(database, "PRAGMA user_version");
    bool old = version != NULL && strcmp(version, "1") == 0;
    bool good = !old || (journal_run(database, upgrade) && schema_is_ours(database) && set_version(database));
    return journal_run(database, good ? "COMMIT" : "ROLLBACK");
}

static bool check_version(sqlite3 *database, const char *path, struct mistake *mistake) {
    cleanup_free char *text = query(database, "PRAGMA user_version");
    if (text == NULL)
        return open_mistake(mistake, path, database);
    long version = strtol(text, NULL, 10);
    if (version == JOURNAL_VERSION && schema_is_ours(database))
        return true;
    if (version == 0 || version == JOURNAL_VERSION)
        return text_mistake(mistake, 0, "\"%s\" is no journal of this program: name another, or move it aside", path);
    if (version == 1)
        return text_mistake(mistake, 0,
                            "the journal \"%s\" is of version 1: `pinion patchd` makes version %d of it when it starts",
                            path, JOURNAL_VERSION);
    return text_mistake(
        mistake, 0,
        "the journal \"%s\" is of version %ld, this program knows version %d: use the pinion that wrote it, "
        "or move it aside together with its -wal and -shm files",
        path, version, JOURNAL_VERSION);
}

/* Looks at every page: a helper should know at its start, not in the middle of a patch. */
static bool check_whole(sqlite3 *database, const char *path, struct mistake *mistake) {
    cleanup_free char *answer = query(database, "PRAGMA quick_check(1)");
    if (answer != NULL && strcmp(answer, "ok") == 0)
        return true;
    return text_mistake(mistake, 0, "cannot open the journal \"%s\": %s%s", path,
                        answer ? answer : sqlite3_errmsg(database), remedy_of(SQLITE_CORRUPT));
}

static void distrust(sqlite3 *database) {
    sqlite3_busy_timeout(database, BUSY_MILLISECONDS);
    sqlite3_limit(database, SQLITE_LIMIT_LENGTH, VALUE_BYTES_MOST);
    sqlite3_limit(database, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    journal_run(database, "PRAGMA cell_size_check = ON");
}

static bool prepare_writing(sqlite3 *database, const char *path, struct mistake *mistake) {
    cleanup_free char *before = query(database, "PRAGMA user_version");
    if (before != NULL && strcmp(before, "1") == 0 && !upgrade_if_old(database))
        return open_mistake(mistake, path, database);
    cleanup_free char *version = query(database, "PRAGMA user_version");
    if (version == NULL)
        return open_mistake(mistake, path, database);
    if (strcmp(version, "0") != 0 && !check_version(database, path, mistake))
        return false; /* untouched */
    cleanup_free char *mode = query(database, "PRAGMA journal_mode = WAL");
    if (mode != NULL && strcmp(mode, "wal") != 0)
        return text_mistake(mistake, 0,
                            "cannot open the journal \"%s\": its file system has no shared memory; keep the state on a "
                            "local one",
                            path);
    if (mode == NULL ||
        !journal_run(database, "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = " LOG_BYTES_KEPT) ||
        !make_if_empty(database))
        return open_mistake(mistake, path, database);
    return check_whole(database, path, mistake);
}

/* Opening is not for two at a time: while one makes the database, SQLite tells the other of locks and errors that it does
 * not wait for. The lock goes with the descriptor; where there is none, as the directory cannot be read, nobody can make
 * it. */
static int lock_directory(const char *path) {
    cleanup_free char *directory = directory_name(path);
    cleanup_fd int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0)
        if (errno != EINTR)
            return -1;
    return steal_fd(&fd);
}

struct journal *journal_open(const char *path, bool writable, struct mistake *mistake) {
    if (!check_directory(path, writable, mistake) || !check_file(path, writable, mistake))
        return NULL;
    struct journal *journal = xcalloc(1, sizeof *journal);
    journal->path = xstrdup(path);
    journal->owner = getpid();
    journal->boot = machine_boot(); /* where it is not told, all of its starts are taken for one */
    cleanup_fd int lock = lock_directory(path);
    (void)lock; /* held to the end of this */
    int flags = writable ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    bool good = sqlite3_open_v2(path, &journal->database, flags | SQLITE_OPEN_EXRESCODE, NULL) == SQLITE_OK;
    if (!good)
        open_mistake(mistake, path, journal->database);
    else
        distrust(journal->database);
    if (good && (!writable || prepare_writing(journal->database, path, mistake)) &&
        check_version(journal->database, path, mistake))
        return journal;
    journal_close(journal);
    return NULL;
}

void journal_close(struct journal *journal) {
    if (journal == NULL)
        return;
    for (size_t i = 0; i < JOURNAL_STATEMENTS_MOST; i++)
        sqlite3_finalize(journal->statements[i]);
    sqlite3_close(journal->database);
    free(journal->path);
    free(journal->boot);
    free(journal);
}
