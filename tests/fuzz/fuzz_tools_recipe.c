/* A recipe of any bytes: refused with a reason, or read as one whose own text reads back as the same; and whatever the
 * bytes, a key that has not signed them never says that it has.
 */
#include <string.h>

#include "runtime/util.h"
#include "tests/fuzz/libconfig.h"
#include "tools/patch/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *write_text(const struct recipe *recipe) {
    char *text = NULL;
    size_t size;
    FILE *stream = xopen_memstream(&text, &size);
    recipe_write(recipe, stream);
    fclose(stream);
    return text;
}

static void check_again(const struct recipe *recipe) {
    cleanup_free char *text = write_text(recipe);
    struct recipe again;
    struct mistake mistake;
    if (!recipe_parse(text, &again, &mistake))
        die("own text refused, line %u: %s\n%s", mistake.line, mistake.text, text);
    cleanup_free char *text_again = write_text(&again);
    if (strcmp(text, text_again) != 0)
        die("own text reads differently:\n%s", text);
    recipe_free(&again);
}

/* The public key of RFC 8032's first test: nobody here has signed anything with it. */
static void check_seal(const char *text) {
    struct recipe_key key;
    struct mistake mistake = {0};
    const struct recipe_key *signer = &key;
    if (!recipe_key_parse("ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", &key))
        die("the key is refused");
    if (recipe_seal(text, &key, 1, &signer, &mistake) == SEAL_GOOD || signer != NULL)
        die("a signature out of nothing");
    if (mistake.text[0] == '\0')
        die("not trusted without a reason");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cleanup_free char *text = xmalloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    check_seal(text);
    struct recipe recipe;
    struct mistake mistake;
    if (recipe_parse(text, &recipe, &mistake)) {
        check_again(&recipe);
        recipe_free(&recipe);
    } else if (mistake.text[0] == '\0') {
        die("refused without a reason");
    }
    return 0;
}
