/* Every detector on every attack of an evaluation, on all processors. */
#ifndef PINION_TOOLS_TRIAL_H
#define PINION_TOOLS_TRIAL_H

#include "tools/evaluation.h"
#include "tools/identify.h"

enum detector {
    DETECTOR_MODEL,
    DETECTOR_PCA,        /* residual of ten principal components, or a never-seen call */
    DETECTOR_ZSCORE,     /* mean squared z-score, or a never-seen call */
    DETECTOR_NEVER_SEEN, /* a never-seen call alone */
    DETECTOR_COUNT
};

/* One subject under one schooling. */
struct trial {
    struct scored scored[DETECTOR_COUNT];
    struct sighting *sightings; /* of the model's alarms: the attack, if it was detected, and each false alarm */
    size_t sighting_count;
};

struct trials {
    const struct evaluation_data *data;
    struct trial *of[SCHOOLING_COUNT]; /* [subject_count] */
};

struct trial_plan {
    struct training_plan training; /* sightings are made at its rate */
    bool progress;                 /* on standard error */
};

/* The same data and plan give the same trials. */
void trials_run(const struct evaluation_data *data, const struct trial_plan *plan, struct trials *trials);
void trials_free(struct trials *trials);

#endif
