/* Which known vulnerability an attack looks like. Exact first: the digest of the most frequent calls mostly names the
 * application, so it counts only where the calls that rose point to the same entry. Then near. Not knowing, and not
 * being able to tell two apart, are answers.
 */
#ifndef PINION_TOOLS_IDENTIFY_H
#define PINION_TOOLS_IDENTIFY_H

#include "tools/signatures.h"

enum answer_kind {
    ANSWER_NAMED,
    ANSWER_AMBIGUOUS, /* several entries are near, none clearly nearest */
    ANSWER_UNKNOWN,
};

struct candidate {
    const struct signature_entry *entry;
    double similarity; /* of the risen calls, 0 to 1 */
    bool exact;        /* a recording of the entry has the same digest */
    bool alike;        /* known recordings of it and of the nearest would be taken for one another */
};

struct answer {
    enum answer_kind kind;
    double confidence;            /* 0 to 1; 0 unless named */
    struct candidate *candidates; /* those to be considered, nearest first; the first is the one that is named */
    size_t candidate_count;
};

/* A database made ready for looking up; the database must outlive it. */
struct identifier;
struct identifier *identifier_new(const struct signatures *signatures);
void identifier_free(struct identifier *identifier);

void identify(const struct identifier *identifier, const struct evidence *evidence, struct answer *answer);
void answer_free(struct answer *answer);
const char *answer_word(enum answer_kind kind); /* "named", "ambiguous", "unknown" */

/* How well attacks are told apart: each is looked up among those of the other containers. */
struct sighting {
    const char *vulnerability; /* that was attacked; NULL: a false alarm */
    unsigned container;
    struct evidence evidence;
};

struct identification {
    double right_pct, wrong_pct;  /* of all attacks */
    double absent_named_pct;      /* of all attacks, with the attack's own entry taken out of the database */
    double false_alarm_named_pct; /* of all false alarms */
};

/* `attack_count` includes the attacks that were not noticed, which have no sighting: they count as unknown. */
struct identification identification_measure(const struct sighting *sightings, size_t count, size_t attack_count,
                                             unsigned top);

#endif
