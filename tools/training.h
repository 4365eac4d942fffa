/* Making a model from recorded intervals. */
#ifndef PINION_TOOLS_TRAINING_H
#define PINION_TOOLS_TRAINING_H

#include "runtime/model.h"
#include "tools/dataset.h"

struct training_plan {
    size_t hidden;
    unsigned epochs, patience;
    uint32_t seed;
    double rate; /* false alarms per interval that the threshold is chosen for */
    uint32_t consecutive;
    size_t sample; /* intervals that the model carries for later merging */
    void (*progress)(void *context, unsigned part, unsigned parts, unsigned epoch, double loss); /* or NULL */
    void *context;
};

extern const struct training_plan training_defaults;
#define TRAINING_STRICT_RATE 0.0003 /* in place of training_defaults.rate, where few alarms matter most */

/* Fewer intervals than this are refused. */
#define TRAINING_LEAST 120

/* Trains on all of the data and chooses the threshold on scores of intervals held back: each group in turn is scored
 * by a model of the others (cross-fitting). The caller frees the model; its size is model->size. */
struct model_header *model_train(const struct dataset *data, const struct training_plan *plan);

/* What the held-back intervals scored, without a threshold yet: the beginning of model_train, for measuring. */
struct held_scores {
    struct model_header *model; /* trained on everything, with scales */
    double *scores;             /* in units of log2, ascending; intervals with calls and none of them new */
    size_t count;
};

struct held_scores model_cross_fit(const struct dataset *data, const struct training_plan *plan);

void sort_ascending(double *numbers, size_t count);

/* The threshold that a share `rate` of such scores exceeds; where they are too few to tell, along the tail that
 * their highest hundredth shows. */
double threshold_for(const double *ascending, size_t count, double rate);
int32_t threshold_fixed(double threshold);

#endif
