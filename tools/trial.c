/* Running the detectors: one job for each attack and schooling, whoever is free takes the next. Jobs share nothing that
 * is written.
 */
#include "tools/trial.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "runtime/signature.h"
#include "runtime/util.h"
#include "tools/baseline.h"
#include "tools/expected.h"
#include "tools/judge.h"
#include "tools/training.h"

#define COMPONENTS 10
#define WORKERS_MOST 64

struct work {
    const struct evaluation_data *data;
    const struct trial_plan *plan;
    struct trials *trials;
    atomic_size_t next, done;
};

static void score_by_model(const struct model_header *model, const struct dataset *tested, struct scored *scored) {
    struct judge *judge = xcalloc(1, sizeof *judge);
    judge_begin(judge, model, tested->calls, tested->call_count);
    scored->scores = xcalloc(tested->row_count + 1, sizeof *scored->scores);
    scored->never_seen = xcalloc(tested->row_count + 1, sizeof *scored->never_seen);
    for (size_t row = 0; row < tested->row_count; row++) {
        struct judgement judgement = judge_row(judge, dataset_row(tested, row));
        scored->scores[row] = judgement.score == SCORE_IDLE ? -INFINITY : (double)judgement.score / FIXED_ONE;
        scored->never_seen[row] = judgement.never_seen;
    }
    free(judge);
}

static void score_by_new_calls(const struct scored *model, size_t rows, struct scored *scored) {
    *scored = (struct scored){.scores = xcalloc(rows + 1, sizeof(double)), .never_seen = xcalloc(rows + 1, 1)};
    for (size_t row = 0; row < rows; row++)
        scored->scores[row] = -INFINITY;
    memcpy(scored->never_seen, model->never_seen, rows);
}

/* ---- What alarms look like to the look-up of signatures ---- */

struct watch {
    const struct dataset *tested;
    const bool *alarms; /* of its rows */
    const struct expectation *expectation;
    size_t gap; /* alarms closer than so many rows are one */
};

/* One alarm: the rows in alarm from `row` on, until there is none for `gap` rows or the end. Returns where it ended. */
static size_t gather_alarm(const struct watch *watch, size_t row, size_t end, size_t gap, struct evidence *evidence) {
    struct evidence_builder builder;
    evidence_begin(&builder, watch->expectation);
    for (size_t last = row; row < end && row - last < gap; row++) {
        if (!watch->alarms[row])
            continue;
        evidence_add(&builder, dataset_row(watch->tested, row));
        last = row;
    }
    evidence_end(&builder, SIGNATURE_TOP, evidence);
    return row;
}

static void sight(const struct watch *watch, const struct evaluation_data *data, const struct subject *subject,
                  struct trial *trial) {
    size_t normal = subject->normal_count, end = watch->tested->row_count;
    for (size_t row = 0; row < normal;) {
        if (!watch->alarms[row]) {
            row++;
            continue;
        }
        struct sighting *sighting = array_append(trial->sightings, trial->sighting_count);
        sighting->container = subject->container;
        row = gather_alarm(watch, row, normal, watch->gap, &sighting->evidence);
    }
    if (!evaluation_judge(data, subject, watch->alarms).detected)
        return;
    struct sighting *sighting = array_append(trial->sightings, trial->sighting_count);
    *sighting =
        (struct sighting){.vulnerability = data->names[subject->vulnerability], .container = subject->container};
    gather_alarm(watch, normal, end, end, &sighting->evidence);
}

static void gather_sightings(const struct work *work, const struct subject *subject, const struct model_header *model,
                             const struct dataset *tested, struct trial *trial) {
    const struct scored *scored = &trial->scored[DETECTOR_MODEL];
    double rate = work->plan->training.rate;
    struct threshold threshold = {threshold_for(scored->held, scored->held_count, rate), rate};
    cleanup_free bool *alarms = evaluation_alarms(scored, tested->row_count, threshold, NULL);
    struct judge *judge = xcalloc(1, sizeof *judge);
    struct expectation expectation;
    judge_begin(judge, model, tested->calls, tested->call_count);
    expected_of(judge, tested->calls, &expectation);
    struct watch watch = {.tested = tested,
                          .alarms = alarms,
                          .expectation = &expectation,
                          .gap = evaluation_gap(&work->data->recordings[subject->vulnerability])};
    sight(&watch, work->data, subject, trial);
    expected_free(&expectation);
    free(judge);
}

/* ---- Jobs ---- */

static void run_trial(const struct work *work, enum schooling schooling, size_t index) {
    const struct subject *subject = &work->data->subjects[index];
    struct trial *trial = &work->trials->of[schooling][index];
    struct dataset school, tested;
    evaluation_schooling(work->data, subject, schooling, &school);
    evaluation_tested(work->data, subject, &tested);
    struct held_scores held = model_cross_fit(&school, &work->plan->training);
    struct scored *scored = trial->scored;
    scored[DETECTOR_MODEL].follows = true;
    scored[DETECTOR_MODEL].held = held.scores;
    scored[DETECTOR_MODEL].held_count = held.count;
    score_by_model(held.model, &tested, &scored[DETECTOR_MODEL]);
    score_by_new_calls(&scored[DETECTOR_MODEL], tested.row_count, &scored[DETECTOR_NEVER_SEEN]);
    baseline_score(&school, &tested, COMPONENTS, &scored[DETECTOR_PCA]);
    baseline_score(&school, &tested, 0, &scored[DETECTOR_ZSCORE]);
    gather_sightings(work, subject, held.model, &tested, trial);
    free(held.model);
    dataset_free(&school);
    dataset_free(&tested);
}

static void *run_jobs(void *context) {
    struct work *work = context;
    size_t subjects = work->data->subject_count, jobs = subjects * SCHOOLING_COUNT;
    for (size_t job; (job = atomic_fetch_add(&work->next, 1)) < jobs;) {
        run_trial(work, (enum schooling)(job / subjects), job % subjects);
        size_t done = atomic_fetch_add(&work->done, 1) + 1;
        if (work->plan->progress)
            fprintf(stderr, "\revaluating: %zu of %zu ", done, jobs);
    }
    return NULL;
}

static size_t processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    size_t count = (size_t)CPU_COUNT(&set);
    return count < WORKERS_MOST ? count : WORKERS_MOST;
}

void trials_run(const struct evaluation_data *data, const struct trial_plan *plan, struct trials *trials) {
    *trials = (struct trials){.data = data};
    for (int schooling = 0; schooling < SCHOOLING_COUNT; schooling++)
        trials->of[schooling] = xcalloc(data->subject_count, sizeof(struct trial));
    struct work work = {.data = data, .plan = plan, .trials = trials};
    pthread_t helpers[WORKERS_MOST];
    size_t started = 0, wanted = processors() - 1;
    while (started < wanted && pthread_create(&helpers[started], NULL, run_jobs, &work) == 0)
        started++;
    run_jobs(&work);
    for (size_t i = 0; i < started; i++)
        pthread_join(helpers[i], NULL);
    if (plan->progress)
        fputs("\r\033[K", stderr);
}

static void free_trial(struct trial *trial) {
    for (int detector = 0; detector < DETECTOR_COUNT; detector++) {
        free(trial->scored[detector].held);
        free(trial->scored[detector].scores);
        free(trial->scored[detector].never_seen);
    }
    for (size_t i = 0; i < trial->sighting_count; i++)
        evidence_free(&trial->sightings[i].evidence);
    free(trial->sightings);
}

void trials_free(struct trials *trials) {
    for (int schooling = 0; schooling < SCHOOLING_COUNT; schooling++) {
        for (size_t i = 0; i < trials->data->subject_count; i++)
            free_trial(&trials->of[schooling][i]);
        free(trials->of[schooling]);
    }
    *trials = (struct trials){0};
}
