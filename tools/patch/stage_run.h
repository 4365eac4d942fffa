/* What a command in a stage finds there. */
#ifndef PINION_TOOLS_PATCH_STAGE_RUN_H
#define PINION_TOOLS_PATCH_STAGE_RUN_H

#include "tools/patch/stage.h"

/* Writes the files that are put over the target's own while a command runs. */
bool stage_prepare_tools(const struct stage *stage, struct mistake *mistake);

#endif
