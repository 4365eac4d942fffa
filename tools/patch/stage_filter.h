/* System calls that nothing in a stage may make. */
#ifndef PINION_TOOLS_PATCH_STAGE_FILTER_H
#define PINION_TOOLS_PATCH_STAGE_FILTER_H

#include <stdbool.h>

/* For this process and all that come from it; false and errno. Needs CAP_SYS_ADMIN, as set-user-ID programs go on
 * working. */
bool stage_filter(void);

#endif
