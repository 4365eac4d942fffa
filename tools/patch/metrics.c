/* The metrics, in the text format of Prometheus. Values of labels are escaped, whatever they hold. */
#include "tools/patch/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/describe.h"

static void put_head(const char *name, const char *type, const char *help, FILE *out) {
    fprintf(out, "# HELP pinion_%s %s\n# TYPE pinion_%s %s\n", name, help, name, type);
}

static void put_labelled(const char *name, const char *label, const char *value, uint64_t number, FILE *out) {
    cleanup_free char *clean = printable(value);
    fprintf(out, "pinion_%s{%s=\"", name, label);
    for (const char *at = clean; *at != '\0'; at++)
        fprintf(out, strchr("\\\"", *at) != NULL ? "\\%c" : "%c", *at);
    fprintf(out, "\"} %" PRIu64 "\n", number);
}

static void put_plain(const char *name, const char *type, const char *help, uint64_t number, FILE *out) {
    put_head(name, type, help, out);
    fprintf(out, "pinion_%s %" PRIu64 "\n", name, number);
}

static void put_states(const struct journal_totals *totals, FILE *out) {
    static const enum incident_state ended[] = {INCIDENT_DONE, INCIDENT_ROLLED_BACK, INCIDENT_FAILED};
    put_head("incidents", "gauge", "Incidents in the journal by state.", out);
    for (int state = 0; state < INCIDENT_STATES; state++)
        put_labelled("incidents", "state", incident_state_word((enum incident_state)state), totals->incidents[state],
                     out);
    put_head("patches_total", "counter", "Patches that were applied, by what came of them.", out);
    for (size_t i = 0; i < sizeof ended / sizeof ended[0]; i++)
        put_labelled("patches_total", "outcome", incident_state_word(ended[i]), totals->incidents[ended[i]], out);
}

static void put_refusal(const char *reason, uint64_t count, void *context) {
    put_labelled("refused_datagrams_total", "reason", reason, count, context);
}

static void put_all(struct journal *journal, uint64_t waiting, FILE *out) {
    struct journal_totals totals;
    journal_totals(journal, &totals);
    put_states(&totals, out);
    put_plain("incident_repeats", "gauge", "Further events like those of the incidents in the journal.", totals.repeats,
              out);
    put_head("refused_datagrams_total", "counter", "Datagrams that were no event, or too many.", out);
    journal_each_refusal(journal, put_refusal, out);
    put_plain("last_patch_timestamp_seconds", "gauge", "When the last patch was done; 0: never.",
              (uint64_t)totals.patched / 1000000000, out);
    put_plain("queue_length", "gauge", "Incidents that wait for their turn.", waiting, out);
}

bool metrics_write(const char *path, struct journal *journal, uint64_t waiting, struct mistake *mistake) {
    struct atomic_file file;
    if (atomic_file_open(&file, path, 0644)) {
        put_all(journal, waiting, file.stream);
        if (atomic_file_commit(&file))
            return true;
    }
    return text_mistake(mistake, 0, "cannot write the metrics \"%s\": %s", path, strerror(errno));
}
