/* What a target that was broken into may say of its packages: databases, lists of sources, apk's output, versions. What
 * is taken from it stays in its place, can do no harm as an argument, and versions keep an order. The first byte says
 * what it is.
 */
#include <string.h>

#include "runtime/util.h"
#include "tools/patch/form.h"
#include "tools/patch/method_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool check_package(const struct package *package, void *context) {
    size_t *left = context;
    if (strchr(package->name, '\n') != NULL || strchr(package->version, '\n') != NULL)
        die("more than a line");
    return --*left > 0;
}

static void packages(enum package_manager manager, char *text) {
    size_t left = 1000;
    package_each_of(manager, text, check_package, &left);
}

static void sources(void (*add)(struct names *addresses, const char *text), const char *text) {
    struct names addresses = {0};
    add(&addresses, text);
    for (size_t i = 0; i < addresses.count; i++) {
        const char *address = addresses.items[i];
        if (strncmp(address, "http", 4) != 0 && strncmp(address, "copy:/", 6) != 0)
            die("\"%s\" is no address", address);
        if (address[strlen(address) - 1] != '/' || strpbrk(address, " \t\n\"'\\`") != NULL)
            die("\"%s\" is no plain address", address);
    }
    names_free(&addresses);
}

static void choices(char *text) {
    struct apk_choices found = {.count = 0};
    struct mistake mistake = {0};
    if (!apk_choices_read(text, &found, &mistake) && mistake.text[0] == '\0')
        die("refused without a reason");
    for (size_t i = 0; i < found.count; i++) {
        if (!form_matches(&form_apk_package, found.items[i].name) ||
            !form_matches(&form_apk_version, found.items[i].version))
            die("\"%s\" \"%s\"", found.items[i].name, found.items[i].version);
    }
    apk_choices_free(&found);
}

static int sign(int number) {
    return (number > 0) - (number < 0);
}

/* Three lines, three versions. */
static void versions(enum package_manager manager, char *text) {
    char *rest = text, *a = strsep(&rest, "\n"), *b = strsep(&rest, "\n"), *c = strsep(&rest, "\n");
    if (b == NULL || c == NULL)
        return;
    int ab = sign(package_compare(manager, a, b)), bc = sign(package_compare(manager, b, c));
    if (ab != -sign(package_compare(manager, b, a)) || package_compare(manager, a, a) != 0)
        die("\"%s\" and \"%s\" have no order", a, b);
    if (ab == bc && ab != 0 && manager == PACKAGES_DPKG && sign(package_compare(manager, a, c)) != ab)
        die("\"%s\", \"%s\" and \"%s\" have no order", a, b, c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    cleanup_free char *text = xstrndup((const char *)data + 1, size - 1);
    switch (data[0] % 7) {
    case 0: packages(PACKAGES_DPKG, text); break;
    case 1: packages(PACKAGES_APK, text); break;
    case 2: sources(addresses_add_list, text); break;
    case 3: sources(addresses_add_stanzas, text); break;
    case 4: choices(text); break;
    case 5: versions(PACKAGES_DPKG, text); break;
    default: versions(PACKAGES_APK, text); break;
    }
    return 0;
}
