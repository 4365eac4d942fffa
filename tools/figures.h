/* What trials come to: figures for a detector, comparisons at equal false alarms. */
#ifndef PINION_TOOLS_FIGURES_H
#define PINION_TOOLS_FIGURES_H

#include "tools/trial.h"

#define EVERY_VULNERABILITY SIZE_MAX

struct figures {
    size_t intervals, false_alarm_intervals;
    double hours;  /* of normal operation */
    size_t alarms; /* false ones; closer than 10 s is one */
    size_t attacks, detected;
    double worst_pct; /* false alarms per interval of the container that has most */
    size_t worst;     /* its index among the subjects */
    double lead;      /* seconds, median over the detected attacks; NAN: none */
    double chance_pct;
};

static inline double false_alarm_pct(const struct figures *figures) {
    return figures->intervals ? 100.0 * (double)figures->false_alarm_intervals / (double)figures->intervals : 0;
}

static inline double detected_pct(const struct figures *figures) {
    return figures->attacks ? 100.0 * (double)figures->detected / (double)figures->attacks : 0;
}

static inline double alarms_per_hour(const struct figures *figures) {
    return figures->hours > 0 ? (double)figures->alarms / figures->hours : 0;
}

/* A detector after a schooling. */
struct contestant {
    const struct trials *trials;
    enum schooling schooling;
    enum detector detector;
};

/* How a subject's threshold is found. */
struct choice {
    double rate;       /* false alarms per interval that it is chosen for, */
    bool on_test_data; /* on the very intervals that are judged: an upper mark; else on held-back training scores */
};

struct figures figures_of(const struct contestant *contestant, size_t vulnerability, struct choice choice);

/* The percentage of attacks that it detects where its rate leads to so many false alarms, interpolated. Where it has no
 * rate with so few, that with the fewest; the same for so many. */
double detected_at_false_alarms(const struct contestant *contestant, double pct);

/* How well the alarms of the first schooling are told apart. */
struct identification figures_identify(const struct trials *trials);

#endif
