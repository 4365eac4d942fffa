/* The library that the policy knows. */
#include "tests/hazards/libreuse.h"

const char reuse_letter = 'A';
