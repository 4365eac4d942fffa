/* The journal in SQLite. A write-ahead log with a flush for each transaction: what was returned survives a kill and a
 * power cut, and readers neither wait for a writer nor hold one up. Every value is looked at before it is believed. No
 * other file but journal_file.c knows SQL.
 */
#include "tools/patch/journal_file.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "runtime/util.h"
#include "tools/patch/fields.h"

/* ---- statements as data ---- */

enum statement {
    INCIDENT_ADD,
    INCIDENT_UPDATE,
    INCIDENT_MOVE,
    INCIDENT_APPROVE,
    INCIDENT_REPEAT,
    INCIDENT_READ,
    INCIDENT_NEXT,
    INCIDENT_BEFORE,
    INCIDENT_FIRST,
    INCIDENT_DUE,
    TRIM_STEPS,
    TRIM_INCIDENTS,
    STEP_ADD,
    STEP_END,
    STEP_EACH,
    ATTEMPTS,
    SERIAL_HIGHEST,
    SERIAL_SAW,
    LATEST,
    RESTARTS,
    RESTART_ADD,
    REFUSAL_ADD,
    REFUSAL_EACH,
    TOTALS,
    PATCHED,
    STATEMENTS,
};

/* Never the one with the latest time: journal_latest would sink. */
#define TRIMMED                                                                                                      \
    "SELECT id FROM incident WHERE state = ?1 AND id <= (SELECT id FROM incident WHERE state = ?1 ORDER BY id DESC " \
    "LIMIT 1 OFFSET ?2) AND id IS NOT (SELECT id FROM incident ORDER BY changed DESC LIMIT 1)"

static const char *const statement_texts[] = {
    [INCIDENT_ADD] = "INSERT INTO incident ({incident}) VALUES ({incident?})",
    [INCIDENT_UPDATE] = "UPDATE incident SET {incident=} WHERE id = ?1",
    [INCIDENT_MOVE] = "UPDATE incident SET state = ?3, detail = ?4, changed = ?5 WHERE id = ?1 AND state = ?2",
    [INCIDENT_APPROVE] = "UPDATE incident SET state = ?3, detail = ?4, changed = ?5, serial = ?6, digest = ?7 "
                         "WHERE id = ?1 AND state = ?2",
    [INCIDENT_REPEAT] = "UPDATE incident SET repeats = min(repeats + 1, 4294967295), changed = ?2 WHERE id = ?1",
    [INCIDENT_READ] = "SELECT {incident} FROM incident WHERE id = ?1",
    [INCIDENT_NEXT] = "SELECT {incident} FROM incident WHERE id > ?1 ORDER BY id LIMIT 1",
    [INCIDENT_BEFORE] = "SELECT {incident} FROM incident WHERE id < ?1 ORDER BY id DESC LIMIT 1",
    [INCIDENT_FIRST] = "SELECT {incident} FROM incident WHERE id = (SELECT min(id) FROM incident WHERE state = ?1)",
    [INCIDENT_DUE] = "SELECT {incident} FROM incident WHERE id = (SELECT one.id FROM incident AS one LEFT JOIN "
                     "(SELECT root, target_start, sum(max(0, min(?2, CASE ended WHEN 0 THEN changed ELSE ended END - "
                     "begun))) AS used "
                     "FROM step JOIN incident ON incident.id = step.incident GROUP BY root, target_start) AS spent "
                     "ON spent.root IS one.root AND spent.target_start = one.target_start "
                     "WHERE one.state = ?1 ORDER BY coalesce(used, 0), one.id LIMIT 1)",
    [TRIM_STEPS] = "DELETE FROM step WHERE incident IN (" TRIMMED ")",
    [TRIM_INCIDENTS] = "DELETE FROM incident WHERE id IN (" TRIMMED ")",
    [STEP_ADD] = "INSERT INTO step ({step}) VALUES ({step?})",
    [STEP_END] = "UPDATE step SET ended = ?2, good = ?3, detail = coalesce(?4, detail), bytes = ?5, memory = ?6 "
                 "WHERE id = ?1",
    [STEP_EACH] = "SELECT {step} FROM step WHERE incident = ?1 ORDER BY id",
    [ATTEMPTS] = "SELECT count(*) FROM incident WHERE recipe IS ?1 AND \"to\" IS ?2 AND "
                 "coalesce(root, '') = coalesce(?3, '') AND target_start = ?4 AND "
                 "state IN ('applying', 'done', 'rolled back', 'failed')",
    [SERIAL_HIGHEST] = "SELECT highest FROM serial WHERE recipe = ?1",
    [SERIAL_SAW] = "INSERT INTO serial (recipe, highest) VALUES (?1, ?2) "
                   "ON CONFLICT (recipe) DO UPDATE SET highest = max(highest, excluded.highest)",
    [LATEST] =
        "SELECT max(coalesce((SELECT max(changed) FROM incident), 0), coalesce((SELECT max(begun) FROM step), 0), "
        "coalesce((SELECT max(ended) FROM step), 0), coalesce((SELECT max(time) FROM restart), 0))",
    [RESTARTS] = "SELECT count(*) FROM restart WHERE program = ?2 AND root = coalesce(?1, '') AND "
                 "CASE boot WHEN ?3 THEN uptime >= ?4 ELSE ?4 < 0 AND time >= ?5 END",
    [RESTART_ADD] = "INSERT INTO restart (incident, time, root, program, boot, uptime) "
                    "VALUES (?1, ?2, coalesce(?3, ''), ?4, ?5, ?6)",
    [REFUSAL_ADD] = "INSERT INTO refusal (reason, count) VALUES (?1, ?2) "
                    "ON CONFLICT (reason) DO UPDATE SET count = count + excluded.count",
    [REFUSAL_EACH] = "SELECT reason, count FROM refusal ORDER BY reason",
    [TOTALS] = "SELECT state, count(*), sum(repeats) FROM incident GROUP BY state",
    [PATCHED] = "SELECT coalesce(max(changed), 0) FROM incident WHERE state = 'done'",
};

_Static_assert(STATEMENTS <= JOURNAL_STATEMENTS_MOST, "a journal has room for all statements");

/* ---- running statements ---- */

static sqlite3_stmt *statement_of(struct journal *journal, enum statement which) {
    sqlite3_stmt **statement = &journal->statements[which];
    if (journal->owner != getpid())
        die("the journal \"%s\" was opened by another process: its locks are not ours", journal->path);
    if (*statement == NULL) {
        cleanup_free char *text = journal_expand(statement_texts[which]);
        if (sqlite3_prepare_v3(journal->database, text, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) != SQLITE_OK)
            journal_give_up(journal);
    }
    return *statement;
}

/* True: a row. False: it has ended, and the change, if it is one, is on disk. */
static bool next_row(struct journal *journal, sqlite3_stmt *statement) {
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        journal_give_up(journal);
    if (code == SQLITE_DONE)
        sqlite3_reset(statement);
    return code == SQLITE_ROW;
}

/* Texts stay the caller's until the statement has ended. */
static void bind_text(sqlite3_stmt *statement, int parameter, const char *text) {
    if (text == NULL)
        sqlite3_bind_null(statement, parameter);
    else
        sqlite3_bind_text(statement, parameter, text, -1, SQLITE_STATIC);
}

/* A letter for each parameter: i an int64_t, t a text or NULL. */
static sqlite3_stmt *start(struct journal *journal, enum statement which, const char *letters, ...) {
    sqlite3_stmt *statement = statement_of(journal, which);
    va_list parameters;
    va_start(parameters, letters);
    for (int i = 0; letters[i] != '\0'; i++)
        if (letters[i] == 'i')
            sqlite3_bind_int64(statement, i + 1, va_arg(parameters, int64_t));
        else
            bind_text(statement, i + 1, va_arg(parameters, const char *));
    va_end(parameters);
    return statement;
}

static void finish(struct journal *journal, sqlite3_stmt *statement) {
    while (next_row(journal, statement))
        ;
}

/* The first column of the only row. */
static int64_t number_of(struct journal *journal, sqlite3_stmt *statement, int64_t otherwise) {
    int64_t number = otherwise;
    while (next_row(journal, statement))
        number = sqlite3_column_int64(statement, 0);
    return number;
}

/* ---- time ---- */

static int64_t latest(struct journal *journal) {
    return number_of(journal, start(journal, LATEST, ""), 0);
}

/* A clock that was set back stands still here until it has made up for it: nothing comes before what it followed. */
static int64_t now(struct journal *journal) {
    int64_t time = (int64_t)clock_nanoseconds(CLOCK_REALTIME), last = latest(journal);
    return time > last ? time : last;
}

/* Nobody sets this one. */
static int64_t uptime(void) {
    return (int64_t)clock_nanoseconds(CLOCK_BOOTTIME);
}

/* ---- records ---- */

static int64_t limited(uint64_t number) {
    return number > INT64_MAX ? INT64_MAX : (int64_t)number;
}

static void bind_event(const struct journal *journal, sqlite3_stmt *statement, int parameter,
                       const struct event *event) {
    if (event->size == 0) {
        sqlite3_bind_null(statement, parameter);
        return;
    }
    const char *problem = event_problem(event, sizeof *event);
    if (problem != NULL)
        die("cannot write to the journal \"%s\" what is no event: %s", journal->path, problem);
    sqlite3_bind_blob(statement, parameter, event, sizeof *event, SQLITE_STATIC);
}

static void bind_field(const struct journal *journal, sqlite3_stmt *statement, int parameter, const struct field *field,
                       const void *record) {
    const void *value = field_of(field, record);
    switch (field->kind) {
    case FIELD_IDENTIFIER:
    case FIELD_TIME:
    case FIELD_INTEGER: sqlite3_bind_int64(statement, parameter, *(const int64_t *)value); break;
    case FIELD_SIZE: sqlite3_bind_int64(statement, parameter, limited(*(const uint64_t *)value)); break;
    case FIELD_NUMBER: sqlite3_bind_int64(statement, parameter, *(const unsigned *)value); break;
    case FIELD_PROCESS: sqlite3_bind_int64(statement, parameter, *(const pid_t *)value); break;
    case FIELD_BOOL: sqlite3_bind_int64(statement, parameter, *(const bool *)value); break;
    case FIELD_REAL: {
        double number = *(const double *)value;
        sqlite3_bind_double(statement, parameter, isfinite(number) ? number : 0);
        break;
    }
    case FIELD_TEXT: bind_text(statement, parameter, *(char *const *)value); break;
    case FIELD_STATE: bind_text(statement, parameter, incident_state_word(*(const enum incident_state *)value)); break;
    case FIELD_CLAIM: bind_text(statement, parameter, claim_word(*(const enum claim *)value)); break;
    case FIELD_EVENT: bind_event(journal, statement, parameter, value); break;
    case FIELD_KINDS: break;
    }
}

/* With id 0 the journal gives one. */
static void bind_record(const struct journal *journal, sqlite3_stmt *statement, const struct fields *fields,
                        const void *record, bool changing) {
    for (size_t i = 0; i < fields->count; i++)
        if (!changing || !fields->items[i].fixed || fields->items[i].kind == FIELD_IDENTIFIER)
            bind_field(journal, statement, (int)i + 1, &fields->items[i], record);
    if (!changing)
        sqlite3_bind_null(statement, 1);
}

static int64_t whole(sqlite3_stmt *statement, int column, int64_t low, int64_t high, bool *good) {
    int64_t number = sqlite3_column_int64(statement, column);
    *good = sqlite3_column_type(statement, column) == SQLITE_INTEGER && number >= low && number <= high;
    return number;
}

/* NULL for what is no text. */
static char *text_of(struct journal *journal, sqlite3_stmt *statement, int column) {
    if (sqlite3_column_type(statement, column) != SQLITE_TEXT)
        return NULL;
    const char *text = (const char *)sqlite3_column_text(statement, column);
    if (text == NULL)
        journal_give_up(journal);
    return xstrdup(text);
}

static bool read_event(sqlite3_stmt *statement, int column, struct event *event) {
    if (sqlite3_column_type(statement, column) == SQLITE_NULL)
        return true;
    const void *bytes = sqlite3_column_blob(statement, column);
    int size = sqlite3_column_bytes(statement, column);
    if (bytes == NULL || size != sizeof *event || event_problem(bytes, (size_t)size) != NULL)
        return false;
    memcpy(event, bytes, sizeof *event);
    return true;
}

static int word_of(struct journal *journal, sqlite3_stmt *statement, int column, int (*index)(const char *),
                   bool *good) {
    cleanup_free char *word = text_of(journal, statement, column);
    int found = index(word);
    *good = found >= 0;
    return found >= 0 ? found : 0;
}

/* False: the value is none that was written here. */
static bool read_field(struct journal *journal, sqlite3_stmt *statement, int column, const struct field *field,
                       void *record) {
    void *value = field_of(field, record);
    bool good = true;
    switch (field->kind) {
    case FIELD_IDENTIFIER: *(int64_t *)value = whole(statement, column, 1, INT64_MAX, &good); break;
    case FIELD_TIME: *(int64_t *)value = whole(statement, column, 0, INT64_MAX, &good); break;
    case FIELD_INTEGER: *(int64_t *)value = whole(statement, column, INT64_MIN, INT64_MAX, &good); break;
    case FIELD_SIZE: *(uint64_t *)value = (uint64_t)whole(statement, column, 0, INT64_MAX, &good); break;
    case FIELD_NUMBER: *(unsigned *)value = (unsigned)whole(statement, column, 0, UINT32_MAX, &good); break;
    case FIELD_PROCESS: *(pid_t *)value = (pid_t)whole(statement, column, INT32_MIN, INT32_MAX, &good); break;
    case FIELD_BOOL: *(bool *)value = whole(statement, column, 0, 1, &good) == 1; break;
    case FIELD_REAL:
        *(double *)value = sqlite3_column_double(statement, column);
        good = isfinite(*(double *)value);
        break;
    case FIELD_TEXT: *(char **)value = text_of(journal, statement, column); break;
    case FIELD_STATE:
        *(enum incident_state *)value =
            (enum incident_state)word_of(journal, statement, column, incident_state_of, &good);
        break;
    case FIELD_CLAIM: *(enum claim *)value = (enum claim)word_of(journal, statement, column, claim_of, &good); break;
    case FIELD_EVENT: good = read_event(statement, column, value); break;
    case FIELD_KINDS: break;
    }
    return good;
}

/* Fills a zeroed record from the current row. */
static void read_record(struct journal *journal, sqlite3_stmt *statement, const struct fields *fields, void *record) {
    for (size_t i = 0; i < fields->count; i++)
        if (!read_field(journal, statement, (int)i, &fields->items[i], record)) {
            cleanup_free char *what = xasprintf("row %lld has no valid \"%s\"",
                                                (long long)sqlite3_column_int64(statement, 0), fields->items[i].name);
            journal_damaged(journal, what);
        }
}

static bool read_one(struct journal *journal, sqlite3_stmt *statement, struct incident *incident) {
    *incident = (struct incident){0};
    if (!next_row(journal, statement))
        return false;
    read_record(journal, statement, &incident_fields, incident);
    sqlite3_reset(statement);
    return true;
}

/* ---- incidents ---- */

int64_t journal_add(struct journal *journal, const struct incident *incident) {
    struct incident stamped = *incident;
    stamped.created = stamped.changed = now(journal);
    sqlite3_stmt *statement = statement_of(journal, INCIDENT_ADD);
    bind_record(journal, statement, &incident_fields, &stamped, false);
    finish(journal, statement);
    return sqlite3_last_insert_rowid(journal->database);
}

void journal_update(struct journal *journal, const struct incident *incident) {
    struct incident stamped = *incident;
    stamped.changed = now(journal);
    sqlite3_stmt *statement = statement_of(journal, INCIDENT_UPDATE);
    bind_record(journal, statement, &incident_fields, &stamped, true);
    finish(journal, statement);
    if (sqlite3_changes(journal->database) != 1)
        die("cannot write to the journal \"%s\": it has no incident %lld", journal->path, (long long)incident->id);
}

bool journal_move(struct journal *journal, int64_t id, enum incident_state from, enum incident_state to,
                  const char *detail) {
    finish(journal, start(journal, INCIDENT_MOVE, "ittti", id, incident_state_word(from), incident_state_word(to),
                          detail, now(journal)));
    return sqlite3_changes(journal->database) == 1;
}

bool journal_approve(struct journal *journal, const struct incident *incident, const char *detail) {
    finish(journal,
           start(journal, INCIDENT_APPROVE, "itttiit", incident->id, incident_state_word(incident->state),
                 incident_state_word(INCIDENT_APPROVED), detail, now(journal), incident->serial, incident->digest));
    return sqlite3_changes(journal->database) == 1;
}

void journal_repeat(struct journal *journal, int64_t id) {
    finish(journal, start(journal, INCIDENT_REPEAT, "ii", id, now(journal)));
}

/* Nothing was done to a target in these. */
void journal_trim(struct journal *journal, unsigned most) {
    static const enum incident_state idle[] = {INCIDENT_IGNORED, INCIDENT_REFUSED, INCIDENT_NOTIFIED,
                                               INCIDENT_REJECTED};
    if (!journal_run(journal->database, "BEGIN IMMEDIATE"))
        journal_give_up(journal);
    for (size_t i = 0; i < sizeof idle / sizeof idle[0]; i++) {
        const char *state = incident_state_word(idle[i]);
        finish(journal, start(journal, TRIM_STEPS, "ti", state, (int64_t)most));
        finish(journal, start(journal, TRIM_INCIDENTS, "ti", state, (int64_t)most));
    }
    if (!journal_run(journal->database, "COMMIT"))
        journal_give_up(journal);
}

/* One row at a time, each read for itself: whoever shows them may be as slow as a pager. */
void journal_each(struct journal *journal, bool newest_first, journal_visit *visit, void *context) {
    enum statement which = newest_first ? INCIDENT_BEFORE : INCIDENT_NEXT;
    int64_t last = newest_first ? INT64_MAX : 0;
    bool more = true;
    struct incident incident;
    while (more && read_one(journal, start(journal, which, "i", last), &incident)) {
        if (newest_first ? incident.id >= last : incident.id <= last)
            journal_damaged(journal, "its rows are out of order");
        last = incident.id;
        more = visit(&incident, context);
        incident_free(&incident);
    }
}

bool journal_first(struct journal *journal, enum incident_state state, struct incident *incident) {
    return read_one(journal, start(journal, INCIDENT_FIRST, "t", incident_state_word(state)), incident);
}

bool journal_next(struct journal *journal, unsigned seconds, struct incident *incident) {
    return read_one(
        journal,
        start(journal, INCIDENT_DUE, "ti", incident_state_word(INCIDENT_APPROVED), (int64_t)seconds * 1000000000),
        incident);
}

bool journal_read(struct journal *journal, int64_t id, struct incident *incident) {
    return read_one(journal, start(journal, INCIDENT_READ, "i", id), incident);
}

/* ---- steps ---- */

int64_t journal_step_begin(struct journal *journal, int64_t incident, const char *name, const char *detail) {
    struct step step = {.incident = incident,
                        .begun = now(journal),
                        .name = (char *)(uintptr_t)name,
                        .detail = (char *)(uintptr_t)detail};
    sqlite3_stmt *statement = statement_of(journal, STEP_ADD);
    bind_record(journal, statement, &step_fields, &step, false);
    finish(journal, statement);
    return sqlite3_last_insert_rowid(journal->database);
}

void journal_step_end(struct journal *journal, int64_t step, bool good, const char *detail, uint64_t bytes,
                      uint64_t memory) {
    finish(journal, start(journal, STEP_END, "iiitii", step, now(journal), (int64_t)good, detail, limited(bytes),
                          limited(memory)));
}

size_t journal_steps(struct journal *journal, int64_t incident, struct step **steps) {
    size_t count = 0;
    *steps = NULL;
    sqlite3_stmt *statement = start(journal, STEP_EACH, "i", incident);
    while (next_row(journal, statement))
        read_record(journal, statement, &step_fields, array_append(*steps, count));
    return count;
}

/* ---- what must not happen twice, or not too often ---- */

static unsigned count_of(int64_t number) {
    return number < 0 ? 0 : number > UINT32_MAX ? UINT32_MAX : (unsigned)number;
}

unsigned journal_attempts(struct journal *journal, const struct incident *incident) {
    return count_of(number_of(journal,
                              start(journal, ATTEMPTS, "ttti", incident->recipe, incident->to, incident->root,
                                    limited(incident->target_start)),
                              0));
}

int64_t journal_highest_serial(struct journal *journal, const char *recipe) {
    return number_of(journal, start(journal, SERIAL_HIGHEST, "t", recipe), -1);
}

void journal_saw_serial(struct journal *journal, const char *recipe, int64_t serial) {
    finish(journal, start(journal, SERIAL_SAW, "ti", recipe, serial));
}

int64_t journal_latest(struct journal *journal) {
    return latest(journal) / 1000000000;
}

/* What was before the machine was started is by that time alone long enough ago, or it is the clock that has to tell. */
unsigned journal_restarts(struct journal *journal, const char *root, const char *program, unsigned seconds) {
    int64_t span = (int64_t)seconds * 1000000000;
    return count_of(number_of(
        journal, start(journal, RESTARTS, "tttii", root, program, journal->boot, uptime() - span, now(journal) - span),
        0));
}

void journal_restarted(struct journal *journal, int64_t incident, const char *root, const char *program) {
    finish(journal,
           start(journal, RESTART_ADD, "iittti", incident, now(journal), root, program, journal->boot, uptime()));
}

/* ---- counts ---- */

void journal_refused(struct journal *journal, const char *reason, uint64_t count) {
    finish(journal, start(journal, REFUSAL_ADD, "ti", reason, limited(count)));
}

void journal_each_refusal(struct journal *journal, journal_visit_refusal *visit, void *context) {
    sqlite3_stmt *statement = start(journal, REFUSAL_EACH, "");
    while (next_row(journal, statement)) {
        cleanup_free char *reason = text_of(journal, statement, 0);
        int64_t count = sqlite3_column_int64(statement, 1);
        visit(reason ? reason : "", count > 0 ? (uint64_t)count : 0, context);
    }
}

static void add_up(const char *reason, uint64_t count, void *context) {
    (void)reason;
    *(uint64_t *)context += count;
}

uint64_t journal_refusals(struct journal *journal) {
    uint64_t sum = 0;
    journal_each_refusal(journal, add_up, &sum);
    return sum;
}

void journal_totals(struct journal *journal, struct journal_totals *totals) {
    *totals = (struct journal_totals){0};
    sqlite3_stmt *statement = start(journal, TOTALS, "");
    while (next_row(journal, statement)) {
        bool good;
        int state = word_of(journal, statement, 0, incident_state_of, &good);
        if (!good)
            journal_damaged(journal, "an incident has no valid state");
        totals->incidents[state] += (uint64_t)sqlite3_column_int64(statement, 1);
        totals->repeats += (uint64_t)sqlite3_column_int64(statement, 2);
    }
    totals->patched = number_of(journal, start(journal, PATCHED, ""), 0);
}
