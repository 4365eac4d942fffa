/* Judging detection on recorded attacks. A folder of CSV files, one per vulnerability, each with containers whose rows
 * are split into train-normal (traces train1..train12: three minutes of each container in turn), validation-normal and attack
 * (traces c1..c4).
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

/* What a detector said about one subject: scores in any unit that grows with oddness; a threshold is found on
 * `held`. */
struct scored {
    double *held; /* ascending */
    size_t held_count;
    double *scores;   /* of the subject's normal rows, then of its attack's; -INFINITY: idle */
    bool *never_seen; /* likewise */
};

/* The outcome for one subject at one threshold. */
struct outcome {
    size_t normal, false_alarms; /* intervals */
    size_t alarms;               /* runs of false alarms, parted by at least 10 s */
    bool detected;               /* an alarm newly raised inside the attack window */
    double lead;                 /* seconds from the first such alarm to the end of the window */
    size_t windows, chance;      /* windows of the attack's length in the normal rows, and those with an alarm */
};

struct outcome evaluation_judge(const struct evaluation_data *data, const struct subject *subject,
                                const struct scored *scored, double threshold);

#endif
