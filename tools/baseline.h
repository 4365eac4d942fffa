/* What the model is measured against: the usual detectors on the same standardised log counts, schooled on the same
 * intervals, with held-back scores found the same way.
 */
#ifndef PINION_TOOLS_BASELINE_H
#define PINION_TOOLS_BASELINE_H

#include "tools/dataset.h"
#include "tools/evaluation.h"

/* Scores the rows of `tested` by the mean square that so many principal components of `school` leave over: with none
 * it is the mean squared z-score. Both have the same columns. Fills all of `scored`, in powers of two. */
void baseline_score(const struct dataset *school, const struct dataset *tested, size_t components,
                    struct scored *scored);

#endif
