/* Reports. The hook gets the incident as JSON on standard input: no text of an event ever becomes an argument. */
#include "tools/patch/report.h"

#include <fcntl.h>
#include <stdlib.h>

#include "runtime/util.h"
#include "tools/patch/claim.h"
#include "tools/patch/command.h"
#include "tools/patch/incident_view.h"
#include "tools/patch/metrics.h"
#include "tools/patch/target.h"
#include "tools/patch/vex.h"

static void run_hook(const struct config *config, struct journal *journal, const struct incident *incident) {
    json_t *object = incident_json(journal, incident, true);
    cleanup_free char *input = json_dumps(object, JSON_COMPACT);
    struct mistake mistake = {0};
    struct command_result result = {0};
    const struct command command = {
        .arguments = (const char *const[]){config->hook, incident_state_word(incident->state), NULL},
        .input = input,
        .timeout_seconds = REPORT_HOOK_SECONDS,
    };
    if (!command_run(&command, &result, &mistake))
        warn("incident %lld: the hook failed: %s", (long long)incident->id, mistake.text);
    command_result_free(&result);
    json_decref(object);
}

#define OS_RELEASE_MOST 65536

/* NULL where it cannot be read; the target may be gone. */
static char *os_release(const struct incident *incident) {
    struct target target;
    struct mistake mistake = {0};
    char *text = NULL;
    size_t size;
    if (!claim_open_target(incident, &target, &mistake))
        return NULL;
    cleanup_fd int descriptor = target_openat(&target, "/etc/os-release", O_RDONLY | O_CLOEXEC, 0);
    if (descriptor >= 0)
        text = fd_read(descriptor, OS_RELEASE_MOST, &size);
    target_close(&target);
    return text;
}

static void write_vex(const struct config *config, struct journal *journal, const struct incident *incident,
                      const struct recipe *recipe) {
    struct mistake mistake = {0};
    cleanup_free char *release = os_release(incident);
    const struct vex_system system = {
        .os_release = release,
        .architecture = "amd64",
        .cves = recipe != NULL ? (const char *const *)recipe->cves : NULL,
    };
    if (!vex_write(config->vex, journal, incident->id, &system, &mistake))
        warn("incident %lld: %s", (long long)incident->id, mistake.text);
}

void report_metrics(const struct config *config, struct journal *journal) {
    struct mistake mistake = {0};
    struct journal_totals totals;
    if (config->metrics == NULL)
        return;
    journal_totals(journal, &totals);
    uint64_t waiting = totals.incidents[INCIDENT_RECEIVED] + totals.incidents[INCIDENT_APPROVED];
    if (!metrics_write(config->metrics, journal, waiting, &mistake))
        warn("%s", mistake.text);
}

void report_incident(const struct config *config, struct journal *journal, const struct incident *incident,
                     const struct recipe *recipe) {
    struct incident fresh;
    report_metrics(config, journal);
    if (config->vex != NULL && incident->state == INCIDENT_DONE)
        write_vex(config, journal, incident, recipe);
    if (config->hook != NULL && journal_read(journal, incident->id, &fresh)) {
        run_hook(config, journal, &fresh);
        incident_free(&fresh);
    }
}
