/* A configuration of any bytes: refused with a reason, or one whose every limit is in its range; and none that acts on
 * its own without a key.
 */
#include <string.h>

#include "runtime/event.h"
#include "runtime/util.h"
#include "tests/fuzz/libconfig.h"
#include "tools/patch/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cleanup_free char *text = xmalloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    struct config config;
    struct mistake mistake;
    if (!configuration_parse(text, &config, &mistake)) {
        if (mistake.text[0] == '\0')
            die("refused without a reason");
        return 0;
    }
    if (config.mode != PATCH_NOTIFY && config.key_count == 0)
        die("mode %s without a key", patch_mode_word(config.mode));
    if (strlen(config.socket) >= EVENT_SOCKET_BYTES || config.state[0] != '/' || config.recipes[0] != '/')
        die("a path that is none");
    if (!(config.confidence > 0 && config.confidence <= 1) || config.queue == 0 || config.step_timeout == 0 ||
        config.events_per_minute == 0 || config.restarts_per_hour == 0)
        die("a limit out of its range");
    configuration_free(&config);
    return 0;
}
