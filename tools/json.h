/* JSON output. File names and arguments may hold any bytes; JSON may not. */
#ifndef PINION_TOOLS_JSON_H
#define PINION_TOOLS_JSON_H

#include <jansson.h>

#include "runtime/identity.h"

/* A string; bytes that are no UTF-8 become "\xNN". NULL becomes null. */
json_t *json_text(const char *text);
json_t *json_identity(const struct identity *identity);
/* "0x1234" */
json_t *json_offset(uint64_t offset);
/* Prints the value as one document and releases it. */
void json_print(json_t *value);

#endif
