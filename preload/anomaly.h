/* Scoring the container's intervals with the model, and raising the alarm. */
#ifndef PINION_PRELOAD_ANOMALY_H
#define PINION_PRELOAD_ANOMALY_H

#include <stdint.h>

/* Set-up, once, before the page of counts is opened: maps the model. Returns the interval that a new page is to have,
 * in nanoseconds. *problem tells why there is no scoring although there is a model, or is NULL. */
uint64_t anomaly_start(const char **problem);

/* The page that was opened has this interval: nothing is scored where the model has another. */
void anomaly_agree(uint64_t interval, const char **problem);

#endif
