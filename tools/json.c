/* Making JSON values. */
#include "tools/json.h"

#include <stdio.h>
#include <string.h>

#include "runtime/util.h"

json_t *json_text(const char *text) {
    if (!text)
        return json_null();
    json_t *value = json_string(text);
    if (value)
        return value;
    cleanup_free char *escaped = xmalloc(4 * strlen(text) + 1);
    char *out = escaped;
    for (; *text; text++) {
        if (*text & 0x80)
            out += sprintf(out, "\\x%02x", (unsigned char)*text);
        else
            *out++ = *text;
    }
    *out = '\0';
    return json_string(escaped);
}

json_t *json_identity(const struct identity *identity) {
    char text[IDENTITY_TEXT_BYTES];
    identity_format(identity, text);
    return json_string(text);
}

json_t *json_offset(uint64_t offset) {
    char text[24];
    snprintf(text, sizeof text, "0x%llx", (unsigned long long)offset);
    return json_string(text);
}

void json_print(json_t *value) {
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(value);
}
