/* The library that the policy does not know. */
#include "tests/hazards/libreuse.h"

const char reuse_letter = 'B';
