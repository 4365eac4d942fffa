/* What a model knows of the calls of a recording, in the form that evidence is made from. */
#ifndef PINION_TOOLS_EXPECTED_H
#define PINION_TOOLS_EXPECTED_H

#include "tools/evidence.h"
#include "tools/judge.h"

/* In the order of the columns `names` that were given to judge_begin, which must outlive it. */
void expected_of(const struct judge *judge, char *const *names, struct expectation *expectation);
void expected_free(struct expectation *expectation);

#endif
