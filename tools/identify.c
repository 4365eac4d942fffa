/* Looking up evidence. An entry is the mean of its recordings, a vector over calls; calls that rise in the attacks on many
 * vulnerabilities weigh little (as words do that stand in every document), and nearness is the cosine. What
 * is nearest must be clearly nearer than the next, as Lowe asks of matching image features (IJCV 60, 2004); more
 * clearly so where known recordings would already be taken for one another.
 */
#include "tools/identify.h"

#include <math.h>
#include <string.h>

#include "runtime/util.h"

#define NEAR_LEAST 0.6          /* similarity that names */
#define EXACT_LEAST 0.5         /* with the digest of a recording of the nearest entry */
#define DISTANCE_MOST (2.0 / 3) /* to the nearest, as a share of that to the next */
#define DISTANCE_ALIKE 0.5      /* the same where the two are alike */
#define LEAST_DISTANCE 0.01
#define RISEN_LEAST 3 /* fewer calls that training knows are no pattern, however well they fit one */
#define WEIGHT_LEAST 0.1

struct identifier {
    const struct signatures *signatures;
    char **calls; /* ordered; all that rose in any recording. Borrowed */
    size_t call_count;
    double *weights;
    double unknown_weight; /* of a call that rose in no recording */
    double *means;         /* weighted, one row of call_count for each entry */
    double *lengths;
    bool *alike; /* a row for each entry: see mark_alike */
};

/* ---- preparation ---- */

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void collect_calls(struct identifier *identifier) {
    const struct signatures *signatures = identifier->signatures;
    for (size_t i = 0; i < signatures->count; i++)
        for (size_t j = 0; j < signatures->entries[i].recording_count; j++) {
            const struct evidence *evidence = &signatures->entries[i].recordings[j];
            for (size_t k = 0; k < evidence->risen_count; k++)
                *array_append(identifier->calls, identifier->call_count) = evidence->risen[k].name;
        }
    if (identifier->call_count == 0)
        return;
    qsort(identifier->calls, identifier->call_count, sizeof *identifier->calls, compare_names);
    size_t kept = 1;
    for (size_t i = 1; i < identifier->call_count; i++)
        if (strcmp(identifier->calls[i], identifier->calls[kept - 1]) != 0)
            identifier->calls[kept++] = identifier->calls[i];
    identifier->call_count = kept;
}

/* The place of a call, or call_count. */
static size_t find_call(const struct identifier *identifier, const char *name) {
    if (identifier->call_count == 0)
        return 0;
    char **found = bsearch(&name, identifier->calls, identifier->call_count, sizeof *identifier->calls, compare_names);
    return found != NULL ? (size_t)(found - identifier->calls) : identifier->call_count;
}

static double *row_of(const struct identifier *identifier, size_t entry) {
    return identifier->means + entry * identifier->call_count;
}

static void average(struct identifier *identifier, size_t index) {
    const struct signature_entry *entry = &identifier->signatures->entries[index];
    for (size_t i = 0; i < entry->recording_count; i++)
        for (size_t j = 0; j < entry->recordings[i].risen_count; j++) {
            const struct risen_call *risen = &entry->recordings[i].risen[j];
            row_of(identifier, index)[find_call(identifier, risen->name)] +=
                (double)risen->rise / RISE_FULL / (double)entry->recording_count;
        }
}

static double weight(double entries, double entries_with_call) {
    return log((entries + 1) / (entries_with_call + 1)) + WEIGHT_LEAST;
}

static void weigh(struct identifier *identifier) {
    size_t entries = identifier->signatures->count;
    for (size_t call = 0; call < identifier->call_count; call++) {
        double with_call = 0;
        for (size_t i = 0; i < entries; i++)
            with_call += row_of(identifier, i)[call];
        identifier->weights[call] = weight((double)entries, with_call);
        for (size_t i = 0; i < entries; i++)
            row_of(identifier, i)[call] *= identifier->weights[call];
    }
    identifier->unknown_weight = weight((double)entries, 0);
    for (size_t i = 0; i < entries; i++) {
        double square = 0;
        for (size_t call = 0; call < identifier->call_count; call++)
            square += row_of(identifier, i)[call] * row_of(identifier, i)[call];
        identifier->lengths[i] = sqrt(square);
    }
}

void identifier_free(struct identifier *identifier) {
    if (identifier == NULL)
        return;
    free(identifier->calls);
    free(identifier->weights);
    free(identifier->means);
    free(identifier->lengths);
    free(identifier->alike);
    free(identifier);
}

/* ---- similarity ---- */

/* The evidence as a weighted vector over the calls, and its length. */
static double project(const struct identifier *identifier, const struct evidence *evidence, double *vector) {
    double square = 0;
    for (size_t i = 0; i < evidence->risen_count; i++) {
        size_t call = find_call(identifier, evidence->risen[i].name);
        bool known = call < identifier->call_count;
        double value = (double)evidence->risen[i].rise / RISE_FULL *
                       (known ? identifier->weights[call] : identifier->unknown_weight);
        if (known)
            vector[call] = value;
        square += value * value;
    }
    return sqrt(square);
}

static double similarity(const struct identifier *identifier, size_t entry, const double *vector, double length) {
    double product = 0;
    for (size_t call = 0; call < identifier->call_count; call++)
        product += vector[call] * row_of(identifier, entry)[call];
    double lengths = length * identifier->lengths[entry];
    return lengths > 0 ? fmin(product / lengths, 1) : 0;
}

/* ---- entries that are alike ---- */

/* The similarity of one of an entry's recordings, as a vector, to the mean of its others. */
static double similarity_to_others(const struct identifier *identifier, size_t entry, const double *vector,
                                   double length) {
    double recordings = (double)identifier->signatures->entries[entry].recording_count;
    double product = 0, square = 0;
    for (size_t call = 0; call < identifier->call_count; call++) {
        double others = row_of(identifier, entry)[call] * recordings - vector[call];
        product += vector[call] * others;
        square += others * others;
    }
    double lengths = length * sqrt(square);
    return lengths > 0 ? product / lengths : 0;
}

static void mark_recording(struct identifier *identifier, size_t entry, const struct evidence *recording) {
    size_t entries = identifier->signatures->count;
    cleanup_free double *vector = xcalloc(identifier->call_count + 1, sizeof *vector);
    double length = project(identifier, recording, vector);
    double own = similarity_to_others(identifier, entry, vector, length);
    for (size_t i = 0; i < entries && length > 0; i++)
        if (i != entry && similarity(identifier, i, vector, length) >= own)
            identifier->alike[entry * entries + i] = identifier->alike[i * entries + entry] = true;
}

/* Two entries are alike when a recording of one is nearer to the other than to its own others: that will happen again. */
static void mark_alike(struct identifier *identifier) {
    for (size_t i = 0; i < identifier->signatures->count; i++) {
        const struct signature_entry *entry = &identifier->signatures->entries[i];
        for (size_t j = 0; j < entry->recording_count && entry->recording_count > 1; j++)
            mark_recording(identifier, i, &entry->recordings[j]);
    }
}

struct identifier *identifier_new(const struct signatures *signatures) {
    struct identifier *identifier = xcalloc(1, sizeof *identifier);
    identifier->signatures = signatures;
    collect_calls(identifier);
    identifier->weights = xcalloc(identifier->call_count + 1, sizeof *identifier->weights);
    identifier->means = xcalloc((identifier->call_count + 1) * (signatures->count + 1), sizeof *identifier->means);
    identifier->lengths = xcalloc(signatures->count + 1, sizeof *identifier->lengths);
    for (size_t i = 0; i < signatures->count; i++)
        average(identifier, i);
    identifier->alike = xcalloc(signatures->count * signatures->count + 1, sizeof *identifier->alike);
    weigh(identifier);
    mark_alike(identifier);
    return identifier;
}

/* ---- the answer ---- */

static bool has_digest(const struct signature_entry *entry, const uint8_t *digest) {
    for (size_t i = 0; i < entry->recording_count; i++)
        if (entry->recordings[i].top_count > 0 && memcmp(entry->recordings[i].digest, digest, SHA256_BYTES) == 0)
            return true;
    return false;
}

static int compare_candidates(const void *a, const void *b) {
    const struct candidate *left = a, *right = b;
    if (left->similarity != right->similarity)
        return left->similarity > right->similarity ? -1 : 1;
    return strcmp(left->entry->name, right->entry->name);
}

/* All entries, nearest first. */
static void rank(const struct identifier *identifier, const struct evidence *evidence, struct answer *answer) {
    const struct signatures *signatures = identifier->signatures;
    cleanup_free double *vector = xcalloc(identifier->call_count + 1, sizeof *vector);
    double length = project(identifier, evidence, vector);
    for (size_t i = 0; i < signatures->count; i++)
        *array_append(answer->candidates, answer->candidate_count) =
            (struct candidate){.entry = &signatures->entries[i],
                               .similarity = similarity(identifier, i, vector, length),
                               .exact = has_digest(&signatures->entries[i], evidence->digest)};
    if (answer->candidate_count > 0)
        qsort(answer->candidates, answer->candidate_count, sizeof *answer->candidates, compare_candidates);
}

/* Two entries of one CVE do not contradict each other. */
static bool same_vulnerability(const struct signature_entry *a, const struct signature_entry *b) {
    return a == b || (a->cve != NULL && b->cve != NULL && strcmp(a->cve, b->cve) == 0);
}

static void mark_like_the_first(const struct identifier *identifier, struct answer *answer) {
    const struct signature_entry *entries = identifier->signatures->entries;
    size_t first = (size_t)(answer->candidates[0].entry - entries);
    for (size_t i = 1; i < answer->candidate_count; i++)
        answer->candidates[i].alike =
            identifier->alike[first * identifier->signatures->count + (size_t)(answer->candidates[i].entry - entries)];
}

/* Whether another is too near for telling it and the best apart. No distance is known more exactly than in hundredths. */
static bool rivals(const struct candidate *best, const struct candidate *other) {
    double most = other->alike ? DISTANCE_ALIKE : DISTANCE_MOST;
    return fmax(1 - best->similarity, LEAST_DISTANCE) > most * (1 - other->similarity);
}

/* How near, times how much nearer than the next. */
static double confidence_in(double best, double next) {
    return next < best ? best * (1 - (1 - best) / (1 - next)) : 0;
}

/* What speaks against naming the best. */
struct objections {
    bool near;   /* another is too near */
    bool digest; /* and has the digest as well, or is alike: so the digest tells nothing */
    double next; /* the similarity of the next */
};

static struct objections objections_to(const struct answer *answer) {
    const struct candidate *best = &answer->candidates[0];
    struct objections objections = {0};
    for (size_t i = 1; i < answer->candidate_count; i++) {
        const struct candidate *other = &answer->candidates[i];
        if (same_vulnerability(other->entry, best->entry))
            continue;
        bool near = rivals(best, other);
        objections.near = objections.near || near;
        objections.digest = objections.digest || (near && (other->exact || other->alike));
        objections.next = fmax(objections.next, other->similarity);
    }
    return objections;
}

/* One call too many of what the program always does fits the one entry or other that is mostly that call. */
static bool shows_pattern(const struct evidence *evidence) {
    return evidence->never_seen_count > 0 || evidence->risen_count >= RISEN_LEAST;
}

static void decide(const struct evidence *evidence, struct answer *answer) {
    const struct candidate *best = &answer->candidates[0];
    struct objections objections = objections_to(answer);
    bool exact = best->exact && best->similarity >= EXACT_LEAST && !objections.digest;
    answer->kind = ANSWER_UNKNOWN;
    if (!shows_pattern(evidence))
        return;
    if (exact || (best->similarity >= NEAR_LEAST && !objections.near))
        answer->kind = ANSWER_NAMED;
    else if (best->similarity >= NEAR_LEAST)
        answer->kind = ANSWER_AMBIGUOUS;
    if (answer->kind == ANSWER_NAMED)
        answer->confidence = exact ? best->similarity : confidence_in(best->similarity, objections.next);
}

/* Of the candidates those stay that speak against the first, and in any case the first itself. */
static void keep_rivals(struct answer *answer) {
    size_t kept = 1;
    for (size_t i = 1; i < answer->candidate_count; i++)
        if (answer->candidates[i].similarity > 0 && rivals(&answer->candidates[0], &answer->candidates[i]))
            answer->candidates[kept++] = answer->candidates[i];
    answer->candidate_count = kept;
}

void identify(const struct identifier *identifier, const struct evidence *evidence, struct answer *answer) {
    *answer = (struct answer){.kind = ANSWER_UNKNOWN};
    rank(identifier, evidence, answer);
    if (answer->candidate_count == 0)
        return;
    mark_like_the_first(identifier, answer);
    decide(evidence, answer);
    if (answer->candidates[0].similarity == 0)
        answer->candidate_count = 0;
    else
        keep_rivals(answer);
}

void answer_free(struct answer *answer) {
    free(answer->candidates);
    *answer = (struct answer){0};
}

const char *answer_word(enum answer_kind kind) {
    static const char *const words[] = {
        [ANSWER_NAMED] = "named", [ANSWER_AMBIGUOUS] = "ambiguous", [ANSWER_UNKNOWN] = "unknown"};
    return words[kind];
}

/* ---- measuring ---- */

struct tally {
    size_t right, wrong, absent_named, false_alarms, false_alarms_named;
};

/* What the containers but this one have taught; without one of the vulnerabilities, unless `absent` is NULL. */
static void learn_others(const struct sighting *sightings, size_t count, unsigned container, const char *absent,
                         struct signatures *signatures) {
    for (size_t i = 0; i < count; i++) {
        const char *name = sightings[i].vulnerability;
        if (name != NULL && sightings[i].container != container && (absent == NULL || strcmp(name, absent) != 0))
            signatures_learn(signatures, name, &sightings[i].evidence);
    }
}

/* The name, or NULL. It is one of the sightings' own. */
static const char *look_up(const struct sighting *sightings, size_t count, size_t which, const char *absent,
                           unsigned top) {
    struct signatures signatures;
    struct answer answer;
    const char *name = NULL;
    signatures_init(&signatures);
    signatures.top = top;
    learn_others(sightings, count, sightings[which].container, absent, &signatures);
    struct identifier *identifier = identifier_new(&signatures);
    identify(identifier, &sightings[which].evidence, &answer);
    for (size_t i = 0; i < count && answer.kind == ANSWER_NAMED && name == NULL; i++)
        if (sightings[i].vulnerability != NULL &&
            strcmp(sightings[i].vulnerability, answer.candidates[0].entry->name) == 0)
            name = sightings[i].vulnerability;
    answer_free(&answer);
    identifier_free(identifier);
    signatures_free(&signatures);
    return name;
}

static void measure_one(const struct sighting *sightings, size_t count, size_t which, unsigned top,
                        struct tally *tally) {
    const char *expected = sightings[which].vulnerability;
    const char *name = look_up(sightings, count, which, NULL, top);
    if (expected == NULL) {
        tally->false_alarms++;
        tally->false_alarms_named += name != NULL;
        return;
    }
    tally->right += name != NULL && strcmp(name, expected) == 0;
    tally->wrong += name != NULL && strcmp(name, expected) != 0;
    tally->absent_named += look_up(sightings, count, which, expected, top) != NULL;
}

static double percent(size_t part, size_t whole) {
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

struct identification identification_measure(const struct sighting *sightings, size_t count, size_t attack_count,
                                             unsigned top) {
    struct tally tally = {0};
    for (size_t i = 0; i < count; i++)
        measure_one(sightings, count, i, top, &tally);
    return (struct identification){
        .right_pct = percent(tally.right, attack_count),
        .wrong_pct = percent(tally.wrong, attack_count),
        .absent_named_pct = percent(tally.absent_named, attack_count),
        .false_alarm_named_pct = percent(tally.false_alarms_named, tally.false_alarms),
    };
}
