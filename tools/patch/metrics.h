/* What the journal adds up to, as a Prometheus text file for node_exporter's textfile collector. */
#ifndef PINION_TOOLS_PATCH_METRICS_H
#define PINION_TOOLS_PATCH_METRICS_H

#include "tools/patch/journal.h"

/* Replaces the file whole or not at all; the collector reads files that end in ".prom". `waiting`: events and incidents
 * in the queue. */
bool metrics_write(const char *path, struct journal *journal, uint64_t waiting, struct mistake *mistake);

#endif
