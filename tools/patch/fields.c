/* Which fields incidents and steps have, and their words. */
#include "tools/patch/fields.h"

#include <stdlib.h>
#include <string.h>

#define INCIDENT(kind_, member) \
    { #member, kind_, false, offsetof(struct incident, member) }
#define INCIDENT_FIXED(kind_, member) \
    { #member, kind_, true, offsetof(struct incident, member) }
#define STEP(kind_, member) \
    { #member, kind_, false, offsetof(struct step, member) }

/* `repeats` is counted by journal_repeat alone, which another process may do at the same time. */
static const struct field of_incident[] = {
    INCIDENT_FIXED(FIELD_IDENTIFIER, id),
    INCIDENT_FIXED(FIELD_TIME, created),
    INCIDENT(FIELD_TIME, changed),
    INCIDENT(FIELD_STATE, state),
    INCIDENT(FIELD_TEXT, detail),
    INCIDENT(FIELD_PROCESS, sender),
    INCIDENT(FIELD_NUMBER, sender_user),
    INCIDENT(FIELD_SIZE, sender_start),
    INCIDENT(FIELD_CLAIM, claim),
    INCIDENT(FIELD_TEXT, claim_detail),
    INCIDENT_FIXED(FIELD_NUMBER, repeats),
    INCIDENT(FIELD_TEXT, answer),
    INCIDENT(FIELD_TEXT, name),
    INCIDENT(FIELD_REAL, confidence),
    INCIDENT(FIELD_TEXT, cve),
    INCIDENT(FIELD_TEXT, package),
    INCIDENT(FIELD_TEXT, recipe),
    INCIDENT(FIELD_INTEGER, serial),
    INCIDENT(FIELD_TEXT, root),
    INCIDENT(FIELD_PROCESS, target),
    INCIDENT(FIELD_SIZE, target_start),
    INCIDENT(FIELD_TEXT, from),
    INCIDENT(FIELD_TEXT, to),
    INCIDENT(FIELD_SIZE, downloaded),
    INCIDENT(FIELD_SIZE, memory),
    INCIDENT(FIELD_INTEGER, disk_growth),
    INCIDENT(FIELD_SIZE, outage),
    INCIDENT_FIXED(FIELD_EVENT, event),
    INCIDENT(FIELD_TEXT, digest),
};

static const struct field of_step[] = {
    STEP(FIELD_IDENTIFIER, id), STEP(FIELD_INTEGER, incident), STEP(FIELD_TIME, begun),
    STEP(FIELD_TIME, ended),    STEP(FIELD_TEXT, name),        STEP(FIELD_BOOL, good),
    STEP(FIELD_TEXT, detail),   STEP(FIELD_SIZE, bytes),       STEP(FIELD_SIZE, memory),
};

const struct fields incident_fields = {of_incident, sizeof of_incident / sizeof of_incident[0]};
const struct fields step_fields = {of_step, sizeof of_step / sizeof of_step[0]};

/* ---- words ---- */

static const char *const states[] = {
    [INCIDENT_RECEIVED] = "received",       [INCIDENT_IGNORED] = "ignored",   [INCIDENT_REFUSED] = "refused",
    [INCIDENT_NOTIFIED] = "notified",       [INCIDENT_WAITING] = "waiting",   [INCIDENT_APPROVED] = "approved",
    [INCIDENT_REJECTED] = "rejected",       [INCIDENT_APPLYING] = "applying", [INCIDENT_DONE] = "done",
    [INCIDENT_ROLLED_BACK] = "rolled back", [INCIDENT_FAILED] = "failed",
};
static const char *const claims[] = {
    [CLAIM_GOOD] = "good", [CLAIM_GONE] = "gone", [CLAIM_FALSE] = "false", [CLAIM_NONE] = "none"};

_Static_assert(sizeof states / sizeof states[0] == INCIDENT_STATES, "each state has a word");

static int word_index(const char *word, const char *const *words, size_t count) {
    for (size_t i = 0; word != NULL && i < count; i++)
        if (strcmp(words[i], word) == 0)
            return (int)i;
    return -1;
}

const char *incident_state_word(enum incident_state state) {
    return (unsigned)state < INCIDENT_STATES ? states[state] : "unknown";
}

const char *claim_word(enum claim claim) {
    return (size_t)claim < sizeof claims / sizeof claims[0] ? claims[claim] : "unknown";
}

int incident_state_of(const char *word) {
    return word_index(word, states, INCIDENT_STATES);
}

int claim_of(const char *word) {
    return word_index(word, claims, sizeof claims / sizeof claims[0]);
}

/* ---- memory ---- */

static void record_free(const struct fields *fields, void *record) {
    for (size_t i = 0; i < fields->count; i++)
        if (fields->items[i].kind == FIELD_TEXT) {
            char **text = field_of(&fields->items[i], record);
            free(*text);
            *text = NULL;
        }
}

void incident_free(struct incident *incident) {
    record_free(&incident_fields, incident);
}

void steps_free(struct step *steps, size_t count) {
    for (size_t i = 0; i < count; i++)
        record_free(&step_fields, &steps[i]);
    free(steps);
}
