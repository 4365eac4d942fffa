/* Adding up what the detectors said. */
#include "tools/figures.h"

#include <math.h>

#include "runtime/signature.h"
#include "runtime/util.h"
#include "tools/training.h"

/* Rates at which a detector's curve is taken. */
#define CURVE_FROM 1e-7
#define CURVE_TO 0.05
#define CURVE_POINTS 80

/* The lowest threshold with at most a share `rate` of the normal rows in alarm, if there is one. */
static double threshold_on_test_data(const struct scored *scored, size_t rows, double rate) {
    cleanup_free double *scores = xcalloc(rows + 1, sizeof *scores);
    size_t count = 0, allowed = (size_t)(rate * (double)rows);
    for (size_t row = 0; row < rows; row++)
        if (!scored->never_seen[row])
            scores[count++] = scored->scores[row];
    size_t always = rows - count;
    sort_ascending(scores, count);
    if (always > allowed)
        return INFINITY;
    return allowed - always < count ? scores[count - 1 - (allowed - always)] : -INFINITY;
}

static struct outcome judge(const struct contestant *contestant, size_t index, struct choice choice) {
    const struct evaluation_data *data = contestant->trials->data;
    const struct subject *subject = &data->subjects[index];
    const struct scored *scored = &contestant->trials->of[contestant->schooling][index].scored[contestant->detector];
    struct threshold threshold = {threshold_for(scored->held, scored->held_count, choice.rate), choice.rate};
    if (choice.on_test_data)
        threshold = (struct threshold){threshold_on_test_data(scored, subject->normal_count, choice.rate), 0};
    cleanup_free bool *alarms =
        evaluation_alarms(scored, subject->normal_count + subject->attack_count, threshold, NULL);
    return evaluation_judge(data, subject, alarms);
}

static void add(struct figures *figures, const struct outcome *outcome, size_t index, double *leads) {
    figures->intervals += outcome->normal;
    figures->false_alarm_intervals += outcome->false_alarms;
    figures->alarms += outcome->alarms;
    figures->attacks++;
    if (outcome->detected)
        leads[figures->detected++] = outcome->lead;
    if (outcome->windows)
        figures->chance_pct += 100.0 * (double)outcome->chance / (double)outcome->windows;
    double pct = outcome->normal ? 100.0 * (double)outcome->false_alarms / (double)outcome->normal : 0;
    if (pct > figures->worst_pct) {
        figures->worst_pct = pct;
        figures->worst = index;
    }
}

static double median(double *numbers, size_t count) {
    sort_ascending(numbers, count);
    return count == 0 ? NAN : (numbers[(count - 1) / 2] + numbers[count / 2]) / 2;
}

struct figures figures_of(const struct contestant *contestant, size_t vulnerability, struct choice choice) {
    const struct evaluation_data *data = contestant->trials->data;
    cleanup_free double *leads = xcalloc(data->subject_count, sizeof *leads);
    struct figures figures = {0};
    for (size_t i = 0; i < data->subject_count; i++) {
        if (vulnerability != EVERY_VULNERABILITY && data->subjects[i].vulnerability != vulnerability)
            continue;
        struct outcome outcome = judge(contestant, i, choice);
        add(&figures, &outcome, i, leads);
        figures.hours +=
            (double)outcome.normal * data->recordings[data->subjects[i].vulnerability].interval_ms / 3600e3;
    }
    figures.lead = median(leads, figures.detected);
    figures.chance_pct = figures.attacks ? figures.chance_pct / (double)figures.attacks : 0;
    return figures;
}

double detected_at_false_alarms(const struct contestant *contestant, double pct) {
    double x = NAN, y = NAN;
    for (int i = 0; i < CURVE_POINTS; i++) {
        double rate = CURVE_FROM * pow(CURVE_TO / CURVE_FROM, (double)i / (CURVE_POINTS - 1));
        struct figures figures = figures_of(contestant, EVERY_VULNERABILITY, (struct choice){.rate = rate});
        double next_x = false_alarm_pct(&figures), next_y = detected_pct(&figures);
        if (next_x > pct)
            return isnan(x) ? next_y : y + (next_y - y) * (pct - x) / (next_x - x);
        x = next_x;
        y = next_y;
    }
    return y;
}

struct identification figures_identify(const struct trials *trials) {
    struct sighting *all = NULL; /* borrowed evidence */
    size_t count = 0, attacks = trials->data->subject_count;
    for (size_t i = 0; i < attacks; i++) {
        const struct trial *trial = &trials->of[SCHOOLING_OWN][i];
        for (size_t k = 0; k < trial->sighting_count; k++)
            *array_append(all, count) = trial->sightings[k];
    }
    struct identification result = identification_measure(all, count, attacks, SIGNATURE_TOP);
    free(all);
    return result;
}
