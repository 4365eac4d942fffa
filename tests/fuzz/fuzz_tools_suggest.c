/* What the apt of a root that was broken into may print: refused with a reason, or names, versions and digests that can
 * do no harm as arguments. The first byte says whose output it is.
 */
#include <string.h>

#include "runtime/util.h"
#include "tools/patch/form.h"
#include "tools/patch/suggest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_upgrade(const struct upgrade *upgrade) {
    if (!form_matches(&form_debian_package, upgrade->name) || !form_matches(&form_debian_version, upgrade->to) ||
        !form_matches(&form_architecture, upgrade->architecture))
        die("\"%s\" \"%s\" \"%s\"", upgrade->name, upgrade->to, upgrade->architecture);
}

static void simulate(const char *text) {
    struct upgrades upgrades;
    struct mistake mistake = {0};
    if (!upgrades_parse(text, &upgrades, &mistake)) {
        if (mistake.text[0] == '\0')
            die("refused without a reason");
        return;
    }
    for (size_t i = 0; i < upgrades.count; i++)
        check_upgrade(&upgrades.items[i]);
    upgrades_free(&upgrades);
}

static void show(const char *text) {
    struct upgrade upgrade = {"libx", "1", "2", "amd64"};
    struct recipe_file file = {0};
    struct mistake mistake = {0};
    if (!archive_parse(text, &upgrade, &file, &mistake)) {
        if (mistake.text[0] == '\0')
            die("refused without a reason");
        return;
    }
    if (!form_matches(&form_archive_path, file.source) || file.size == 0)
        die("\"%s\"", file.source);
    free(file.package);
    free(file.version);
    free(file.architecture);
    free(file.source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    cleanup_free char *text = xmalloc(size);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    if (*data == 'S')
        simulate(text);
    else
        show(text);
    return 0;
}
