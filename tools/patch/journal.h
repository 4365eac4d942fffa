/* The journal: every event, decision and step, in SQLite, on disk before it is acted on. What it does not hold did not
 * happen; what it holds as begun and not as ended is to be finished or rolled back. Any process may read it at any
 * time; `pinion patch approve` writes to it beside the helper.
 */
#ifndef PINION_TOOLS_PATCH_JOURNAL_H
#define PINION_TOOLS_PATCH_JOURNAL_H

#include <sys/types.h>

#include "runtime/document.h"
#include "runtime/event.h"

/* What becomes of an incident. The order is that of its life; the words are in the file. */
enum incident_state {
    INCIDENT_RECEIVED, /* the event is in the journal, nothing else is known */
    INCIDENT_IGNORED, /* nothing to do: no or no clear match, no recipe, a claim that does not hold, installed already */
    INCIDENT_REFUSED,  /* there is a recipe, but it may not be applied: signature, replay, expiry, precondition */
    INCIDENT_NOTIFIED, /* mode `notify`: told, and that is all */
    INCIDENT_WAITING,  /* mode `ask`: for approval */
    INCIDENT_APPROVED, /* to be applied: by a person or by mode `auto` */
    INCIDENT_REJECTED, /* by a person */
    INCIDENT_APPLYING, /* under way: see its steps */
    INCIDENT_DONE,
    INCIDENT_ROLLED_BACK, /* failed, and the target is as it was */
    INCIDENT_FAILED,      /* failed, and a person has to look: see `detail` */
    INCIDENT_STATES,
};

enum claim {
    CLAIM_GOOD,  /* the sender is the process that the event tells of */
    CLAIM_GONE,  /* it ended before it could be looked at: never a reason to act without a person */
    CLAIM_FALSE, /* something the event says is not so */
    CLAIM_NONE,  /* a person began it: no event */
};

/* Texts may be NULL where unknown; those of a read incident are owned by it. Times: nanoseconds since 1970. */
struct incident {
    int64_t id; /* from 1 on */
    int64_t created, changed;
    enum incident_state state;
    char *detail; /* why it is in this state, one line */

    struct event event; /* size 0: none */
    pid_t sender;       /* what the kernel said, in our numbers */
    uid_t sender_user;
    uint64_t sender_start; /* clock ticks since boot: makes the number unambiguous */
    enum claim claim;
    char *claim_detail;
    unsigned repeats; /* further events of the same kind that were not worth incidents of their own */

    char *answer; /* "named", "ambiguous", "unknown"; "violation": named by the refused call */
    char *name;   /* entry of the signature database */
    double confidence;
    char *cve, *package, *recipe;
    int64_t serial;
    char *digest;          /* SHA-256 of the recipe's text that was decided on, or approved */
    char *root;            /* of the target: a directory; "" our own */
    pid_t target;          /* process whose namespaces were entered, or 0 */
    uint64_t target_start; /* clock ticks since boot */
    char *from, *to;       /* versions of the package */

    uint64_t downloaded, memory; /* bytes: fetched; greatest memory of one command */
    int64_t disk_growth;         /* bytes */
    uint64_t outage;             /* nanoseconds for which the health check failed after the restart */
};

struct step {
    int64_t id, incident;
    int64_t begun, ended; /* ended is 0 while under way */
    char *name;           /* "download", "stage", "commit", ... */
    bool good;
    char *detail;
    uint64_t bytes, memory;
};

struct journal;

#define JOURNAL_NAME "journal" /* in the state directory */

/* Opens, and with `writable` makes, the journal and its directory, which must be ours alone to write in; one of an older
 * version is brought up to date. One of a newer version, or a damaged one, is a mistake with a remedy. A process that forks opens its own in the child. */
struct journal *journal_open(const char *path, bool writable, struct mistake *mistake);
void journal_close(struct journal *journal);

/* All of these are on disk when they return. A journal that cannot be written or read ends the program with a message
 * and status 2: nothing may be done that is not in it. `created`, `changed`, `begun` and `ended` are set here: none is
 * earlier than what is in the journal already. */
int64_t journal_add(struct journal *journal, const struct incident *incident); /* id is ignored; returns it */
/* All but id, created, repeats and event. For whoever owns the incident in its state: others use journal_move. */
void journal_update(struct journal *journal, const struct incident *incident);
/* Changes the state only if it is still `from`: false when somebody else was faster. */
bool journal_move(struct journal *journal, int64_t id, enum incident_state from, enum incident_state to,
                  const char *detail);
/* The same, from its state to INCIDENT_APPROVED, with its serial and digest. */
bool journal_approve(struct journal *journal, const struct incident *incident, const char *detail);
void journal_repeat(struct journal *journal, int64_t id); /* counts one more repeat */
/* Removes the oldest incidents, with their steps, of those that were ignored, beyond so many; likewise of those that were
 * refused, notified and rejected. What was applied stays for ever. */
void journal_trim(struct journal *journal, unsigned most);
int64_t journal_step_begin(struct journal *journal, int64_t incident, const char *name, const char *detail);
void journal_step_end(struct journal *journal, int64_t step, bool good, const char *detail, uint64_t bytes,
                      uint64_t memory);

/* What must not happen twice, or not too often. Attempts are incidents of the same recipe, version (`to`) and target that
 * were begun to be applied, by a person or not, and not refused: what stood in the way may pass. */
unsigned journal_attempts(struct journal *journal, const struct incident *incident);
int64_t journal_highest_serial(struct journal *journal, const char *recipe); /* seen so far; -1: none */
void journal_saw_serial(struct journal *journal, const char *recipe, int64_t serial);
/* The latest time in it, seconds since 1970: a clock that was set back does not make an expired recipe valid. */
int64_t journal_latest(struct journal *journal);
/* Restarts of this program of this root begun within the last so many seconds, whatever the clock was set to since. */
unsigned journal_restarts(struct journal *journal, const char *root, const char *program, unsigned seconds);
void journal_restarted(struct journal *journal, int64_t incident, const char *root, const char *program);
/* Datagrams that were refused, by reason: counted, not stored. */
void journal_refused(struct journal *journal, const char *reason, uint64_t count);
uint64_t journal_refusals(struct journal *journal);
typedef void journal_visit_refusal(const char *reason, uint64_t count, void *context);
void journal_each_refusal(struct journal *journal, journal_visit_refusal *visit, void *context);

struct journal_totals {
    uint64_t incidents[INCIDENT_STATES];
    uint64_t repeats;
    int64_t patched; /* when the last one was done, nanoseconds since 1970; 0: none */
};
void journal_totals(struct journal *journal, struct journal_totals *totals);

/* Reading. The callback returns false to stop. Newest first where `newest_first`, else in the order of ids. No lock is
 * held during the callback, which may write to the journal. */
typedef bool journal_visit(const struct incident *incident, void *context);
void journal_each(struct journal *journal, bool newest_first, journal_visit *visit, void *context);
/* The oldest incident in this state; false: none. The caller frees its texts. */
bool journal_first(struct journal *journal, enum incident_state state, struct incident *incident);
/* Likewise the approved incident that is next: of the target that has had the least time so far, the oldest. A step
 * counts `seconds` at most, whatever the clock did meanwhile. */
bool journal_next(struct journal *journal, unsigned seconds, struct incident *incident);
bool journal_read(struct journal *journal, int64_t id, struct incident *incident);
/* Steps in their order; the caller frees with steps_free. */
size_t journal_steps(struct journal *journal, int64_t incident, struct step **steps);
void steps_free(struct step *steps, size_t count);
void incident_free(struct incident *incident);

const char *incident_state_word(enum incident_state state); /* "received", "rolled back", ... */
const char *claim_word(enum claim claim);

#endif
