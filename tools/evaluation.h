/* Judging detection on recorded attacks. A folder of CSV files, one per vulnerability, each with containers whose rows are
 * split into train-normal (traces train1..train12: three minutes of each container in turn), validation-normal and
 * attack (traces c1..c4).
 */
#ifndef PINION_TOOLS_EVALUATION_H
#define PINION_TOOLS_EVALUATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/recording.h"
#include "tools/training.h"

/* Who the training data is from. */
enum schooling {
    SCHOOLING_OWN,  /* the container's own first three minutes */
    SCHOOLING_COLD, /* the other containers of the image */
    SCHOOLING_COUNT
};

/* One container and its attack. */
struct subject {
    size_t vulnerability; /* index of the recording */
    unsigned container;   /* from 1 */
    size_t normal_first, normal_count;
    size_t attack_first, attack_count;
};

struct evaluation_data {
    struct recording *recordings;
    char **names; /* of the vulnerabilities: the files' names without .csv.gz */
    size_t recording_count;
    struct subject *subjects;
    size_t subject_count;
};

void evaluation_read(const char *folder, struct evaluation_data *data);
void evaluation_free(struct evaluation_data *data);

/* The training data of a subject; a group is what cross-fitting holds back together: a minute of the container's own,
 * or one of the other containers. */
void evaluation_schooling(const struct evaluation_data *data, const struct subject *subject, enum schooling schooling,
                          struct dataset *dataset);

/* The subject's rows that are judged, normal ones first, under the same columns as its schooling. */
void evaluation_tested(const struct evaluation_data *data, const struct subject *subject, struct dataset *dataset);

/* What a detector said about one subject: scores in any unit that grows with oddness; a threshold is found on
 * `held`. */
struct scored {
    double *held; /* ascending */
    size_t held_count;
    double *scores;   /* of the subject's normal rows, then of its attack's; -INFINITY: idle */
    bool *never_seen; /* likewise */
    bool follows;     /* the threshold follows the scores, as model_alarm has it */
};

/* The outcome for one subject at one threshold. */
struct outcome {
    size_t normal, false_alarms; /* intervals */
    size_t alarms;               /* runs of false alarms, parted by at least 10 s */
    bool detected;               /* an alarm newly raised inside the attack window */
    double lead;                 /* seconds from the first such alarm to the end of the window */
    size_t windows, chance;      /* windows of the attack's length in the normal rows, and those with an alarm */
};

/* Where a threshold begins, and the share of false alarms that it is for; 0: it stays where it is. */
struct threshold {
    double value, rate;
};

/* Per row whether it is in alarm; the caller frees. In `values`, if it is not NULL, the threshold of each row. */
bool *evaluation_alarms(const struct scored *scored, size_t rows, struct threshold threshold, double *values);

/* Alarms closer than so many rows are one. */
size_t evaluation_gap(const struct recording *recording);

/* `alarms` are those of all the subject's rows. */
struct outcome evaluation_judge(const struct evaluation_data *data, const struct subject *subject, const bool *alarms);

#endif
