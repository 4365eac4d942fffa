/* Recipes are read strictly and written the same each time; what is not signed by a pinned key, byte for byte, is never
 * read at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "runtime/util.h"
#include "tests/unit/recipes.h"
#include "tools/patch/form.h"
#include "tools/patch/recipe.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct recipe parse(const char *text) {
    struct recipe recipe;
    struct mistake mistake;
    if (!recipe_parse(text, &recipe, &mistake))
        fail_msg("line %u: %s\nfor: %s", mistake.line, mistake.text, text);
    return recipe;
}

static char *write_text(const struct recipe *recipe) {
    char *text = NULL;
    size_t size;
    FILE *stream = xopen_memstream(&text, &size);
    recipe_write(recipe, stream);
    fclose(stream);
    return text;
}

static void assert_reads_back(const char *given) {
    struct recipe recipe = parse(given);
    cleanup_free char *text = write_text(&recipe);
    struct recipe again = parse(text);
    cleanup_free char *text_again = write_text(&again);
    assert_string_equal(text, text_again);
    recipe_free(&recipe);
    recipe_free(&again);
}

/* ---- reading ---- */

static void test_all_of_a_recipe_is_read(void **state) {
    (void)state;
    struct recipe recipe =
        parse(RECIPE_GOOD "preconditions = { free_disk = \"64M\"; };\n"
                          "restart = ( { program = \"/usr/sbin/nginx\"; how = \"upgrade\"; },\n"
                          "{ program = \"/usr/bin/x\"; how = \"signal\"; signal = \"HUP\"; },\n"
                          "{ program = \"/usr/bin/y\"; how = \"command\"; command = [ \"y\", \"\" ]; } );\n"
                          "health = { timeout = 5; checks = ( { serving = true; },\n"
                          "{ url = \"http://127.0.0.1:80/\"; contains = \"ok\"; } ); };\n");
    assert_string_equal(recipe.name, "openssl-3.0.15");
    assert_int_equal(recipe.serial, 3);
    assert_int_equal(recipe.created, 1767312000);
    assert_int_equal(recipe.expires, 1893553445);
    assert_string_equal(recipe.signatures[0], "x509");
    assert_null(recipe.signatures[1]);
    assert_string_equal(recipe.cves[0], "CVE-2022-3602");
    assert_string_equal(recipe.package, "libssl3");
    assert_int_equal(recipe.method, METHOD_APT);
    assert_int_equal(recipe.file_count, 1);
    assert_int_equal(recipe.files[0].size, 2020000);
    assert_int_equal(recipe.files[0].sha256[31], 0x14);
    assert_int_equal(recipe.free_disk, 64 << 20);
    assert_int_equal(recipe.restart_count, 3);
    assert_int_equal(recipe.restarts[0].how, RESTART_UPGRADE);
    assert_string_equal(recipe.restarts[1].signal, "HUP");
    assert_string_equal(recipe.restarts[2].command[1], "");
    assert_null(recipe.restarts[2].command[2]);
    assert_int_equal(recipe.timeout, 5);
    assert_true(recipe.health[0].serving);
    assert_int_equal(recipe.health[1].status, 200);
    recipe_free(&recipe);
}

static void test_what_is_left_out_has_its_default(void **state) {
    (void)state;
    struct recipe recipe = parse(RECIPE_HEAD "answers = { };\n" RECIPE_PACKAGE "method = \"apt\";\n");
    assert_null(recipe.signatures[0]);
    assert_null(recipe.cves[0]);
    assert_int_equal(recipe.file_count, 0);
    assert_int_equal(recipe.timeout, 30);
    assert_int_equal(recipe.free_disk, 0);
    recipe_free(&recipe);
}

static void test_what_is_written_reads_back(void **state) {
    (void)state;
    static const char *const texts[] = {
        RECIPE_GOOD,
        RECIPE_WITH(
            RECIPE_APT(RECIPE_LIBSSL ", " RECIPE_ARCHIVE("openssl", "1:3", "./openssl_3_amd64.deb", "4294967296L"))),
        RECIPE_WITH("package = { name = \"Lib_x\"; fixed = \"1.2.3_p1-r4\"; }; method = \"apk\";"),
        RECIPE_WITH(
            "method = \"files\"; files = ( { path = \"/usr/lib/x.so\"; source = \"file:///srv/x.so\"; size = 1;\n"
            "sha256 = \"" RECIPE_DIGEST "\"; mode = \"0644\"; },\n"
            "{ path = \"/usr/lib/y.so\"; source = \"https://[::1]:8080/y?a=b\"; size = 1;\n"
            "sha256 = \"" RECIPE_DIGEST "\"; } );"),
        RECIPE_WITH("method = \"build\"; build = { archive = { source = \"http://x/y.tar.gz\"; size = 5;\n"
                    "sha256 = \"" RECIPE_DIGEST "\"; }; depends = [ \"gcc\", \"libc6-dev\" ];\n"
                    "commands = [ \"./configure --prefix=/usr\", \"make install DESTDIR=\\\"$DESTDIR\\\"\" ]; };"),
        RECIPE_WITH(
            "method = \"script\"; script = { text = \"set -e\\n\\techo \\\\x41 \\xc3\\xa9\\n\\nno newline\"; };"),
        RECIPE_HEAD
        "answers = { violations = ( { module = \"ab12\"; api = \"execve\"; }, { module = \"derived:cd\"; } );\n"
        "}; " RECIPE_PACKAGE "method = \"apt\"; preconditions = { free_disk = \"1000\"; };\n"
        "health = { checks = ( { command = [ \"/bin/true\", \"-a b\" ]; } ); };",
    };
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_reads_back(texts[i]);
}

#define ARCHIVE(package, version, source, size) RECIPE_WITH(RECIPE_APT(RECIPE_ARCHIVE(package, version, source, size)))
#define SOURCE "pool/x.deb"
#define FIXED "3.0.15-1~deb12u1"
#define FILES(path, source, rest)                                                                           \
    RECIPE_WITH("method = \"files\"; files = ( { path = \"" path "\"; source = \"" source "\"; size = 1;\n" \
                "sha256 = \"" RECIPE_DIGEST "\"; " rest " } );")
#define RESTART(rest) RECIPE_GOOD "restart = ( { program = \"/x\"; " rest " } );"
#define CHECK(rest) RECIPE_GOOD "health = { checks = ( { " rest " } ); };"

static void test_each_mistake_has_its_line_and_remedy(void **state) {
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
        const char *message;
    } rows[] = {
        {"", 0, "no \"recipe\""},
        {RECIPE_GOOD "sumary = \"x\";", 8, "did you mean \"summary\"?"},
        {RECIPE_GOOD "\n@include \"/etc/shadow\"\n", 9, "no other file"},
        {RECIPE_GOOD "summary = \"again\";", 8, "duplicate"},
        {"recipe = \"../x\";", 0, "no \"summary\""},
        {"# nothing here \x1b[1A\x1b[2K\n" RECIPE_GOOD, 1, "the byte 0x1b is not printable"},
        {RECIPE_GOOD "\n# \xe2\x80\xae turned around\n", 9, "the byte 0xe2 is not printable"},
        {RECIPE_GOOD "\r\n", 8, "the byte 0x0d is not printable"},
        {"recipe = \"../x\"; summary = \"x\"; serial = 1; created = \"2026-01-01\"; expires = \"2027-01-01\";\n"
         "answers = { }; method = \"apk\";",
         1, "a name of letters"},
        {RECIPE_HEAD "answers = { cves = [ \"CVE-14-1\" ]; }; method = \"apk\";", 6, "as \"CVE-2014-6271\""},
        {RECIPE_HEAD "answers = { cves = [ 5 ]; }; method = \"apk\";", 6, "no text in quotes"},
        {RECIPE_HEAD "answers = { violations = ( { module = \"none\"; } ); }; method = \"apk\";", 6, "the build-id"},
        {RECIPE_HEAD "answers = { violations = ( { module = \"ab\"; api = \"opne\"; } ); }; method = \"apk\";", 6,
         "did you mean \"open\"?"},
        {RECIPE_WITH("method = \"atp\";"), 7, "did you mean \"apt\"?"},
        {RECIPE_WITH("method = \"apt\";"), 0, "no \"package\""},
        {RECIPE_WITH("method = \"files\";"), 0, "no \"files\""},
        {RECIPE_GOOD "script = { text = \"x\"; };", 8, "does not belong to method \"apt\""},
        {RECIPE_WITH(RECIPE_APT("")), 8, "is empty"},
        {RECIPE_WITH(RECIPE_APT(RECIPE_LIBSSL ",\n" RECIPE_LIBSSL)), 9, "twice"},
        {ARCHIVE("libssl3", "3.0.14", SOURCE, "1"), 8, "none of the archives"},
        {ARCHIVE("libcrypto3", FIXED, SOURCE, "1"), 8, "none of the archives"},
        /* What becomes an argument or a path can hold nothing that means more. */
        {ARCHIVE("-oDPkg::x", FIXED, SOURCE, "1"), 8, "a Debian package's name"},
        {ARCHIVE("a;reboot", FIXED, SOURCE, "1"), 8, "a Debian package's name"},
        {ARCHIVE("libssl3:amd64", FIXED, SOURCE, "1"), 8, "a Debian package's name"},
        {ARCHIVE("libssl3", "3$(reboot)", SOURCE, "1"), 8, "a Debian version"},
        {ARCHIVE("libssl3", "-1", SOURCE, "1"), 8, "a Debian version"},
        {ARCHIVE("libssl3", "1:2:3", SOURCE, "1"), 8, "a Debian version"},
        {ARCHIVE("libssl3", "3\\n4", SOURCE, "1"), 8, "a Debian version"},
        {ARCHIVE("libssl3", FIXED, "/etc/shadow", "1"), 8, "a path in the archive"},
        {ARCHIVE("libssl3", FIXED, "pool/../../x", "1"), 8, "a path in the archive"},
        {ARCHIVE("libssl3", FIXED, "..", "1"), 8, "a path in the archive"},
        {ARCHIVE("libssl3", FIXED, "pool//x", "1"), 8, "a path in the archive"},
        {ARCHIVE("libssl3", FIXED, "pool/x y", "1"), 8, "a path in the archive"},
        {ARCHIVE("libssl3", FIXED, SOURCE, "0"), 8, "must lie between"},
        {ARCHIVE("libssl3", FIXED, SOURCE, "-1"), 8, "must lie between"},
        {ARCHIVE("libssl3", FIXED, SOURCE, "99999999999999999999L"), 8, "must lie between"},
        {ARCHIVE("libssl3", FIXED, SOURCE, "1.5"), 8, "a whole number"},
        {ARCHIVE("libssl3", FIXED, SOURCE, "1; mode = \"0755\""), 8, "unknown key \"mode\""},
        {RECIPE_WITH("package = { name = \"x y\"; fixed = \"1\"; }; method = \"apk\";"), 7, "an Alpine package's name"},
        {FILES("/usr/../etc/shadow", "https://x/y", ""), 7, "an absolute path"},
        {FILES("usr/x", "https://x/y", ""), 7, "an absolute path"},
        {FILES("/", "https://x/y", ""), 7, "an absolute path"},
        {FILES("/usr/x/", "https://x/y", ""), 7, "an absolute path"},
        {FILES("/usr//x", "https://x/y", ""), 7, "an absolute path"},
        {FILES("/proc/1/mem", "https://x/y", ""), 7, "not below /proc"},
        {FILES("/var/lib/pinion/journal", "https://x/y", ""), 7, "not below /proc"},
        {FILES("/usr/\\x1b[2J", "https://x/y", ""), 7, "an absolute path"},
        {FILES("/usr/x\\x00", "https://x/y", ""), 7, "\\x00"},
        {FILES("/usr/x", "ftp://x/y", ""), 7, "an URL"},
        {FILES("/usr/x", "https://", ""), 7, "an URL"},
        {FILES("/usr/x", "https://x/$(reboot)", ""), 7, "an URL"},
        {FILES("/usr/x", "https://x/ y", ""), 7, "an URL"},
        {FILES("/usr/x", "-K/etc/shadow", ""), 7, "an URL"},
        {FILES("/usr/x", "file://x/y", ""), 7, "an URL"},
        {FILES("/usr/x", "file:///x/../y", ""), 7, "an URL"},
        {FILES("/usr/x", "https://x/y", "mode = \"755\";"), 8, "four octal digits"},
        {FILES("/usr/x", "https://x/y", "mode = \"9999\";"), 8, "four octal digits"},
        {RECIPE_WITH("method = \"script\"; script = { text = \"\\x1b[2J\"; };"), 7, "lines of printable text"},
        {RECIPE_GOOD "preconditions = { free_disk = \"many\"; };", 8, "a size, as"},
        {RECIPE_GOOD "preconditions = { free_disk = \"99999999G\"; };", 8, "a size, as"},
        {RESTART("how = \"relod\";"), 8, "did you mean \"reload\"?"},
        {RESTART("how = \"command\";"), 8, "needs \"command\""},
        {RESTART("how = \"command\"; command = [ ];"), 8, "must begin with a program's name"},
        {RESTART("how = \"signal\";"), 8, "needs \"signal\""},
        {RESTART("how = \"signal\"; signal = \"STOP\";"), 8, "one of HUP"},
        {RESTART("how = \"none\"; signal = \"HUP\";"), 8, "takes no \"signal\""},
        {CHECK(""), 8, "one of \"command\""},
        {CHECK("serving = true; url = \"http://x/\";"), 8, "one of \"command\""},
        {CHECK("serving = false;"), 8, "can only be true"},
        {CHECK("serving = true; status = 200;"), 8, "for a check with \"url\""},
        {CHECK("url = \"file:///etc/shadow\";"), 8, "an URL"},
        {RECIPE_GOOD "health = { timeout = 0; };", 8, "must lie between"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct recipe recipe;
        struct mistake mistake;
        if (recipe_parse(rows[i].text, &recipe, &mistake))
            fail_msg("accepted: %s", rows[i].text);
        if (mistake.line != rows[i].line || strstr(mistake.text, rows[i].message) == NULL)
            fail_msg("line %u: %s\nfor: %s", mistake.line, mistake.text, rows[i].text);
    }
}

static void test_a_text_has_its_limits(void **state) {
    (void)state;
    struct recipe recipe;
    struct mistake mistake;
    cleanup_free char *summary = xcalloc(1, 1002);
    memset(summary, 'x', 1001);
    cleanup_free char *text = xasprintf("recipe = \"x\"; summary = \"%s\"; serial = 1; created = \"2026-01-01\";\n"
                                        "expires = \"2027-01-01\"; answers = { }; method = \"apk\";",
                                        summary);
    assert_false(recipe_parse(text, &recipe, &mistake));
    assert_non_null(strstr(mistake.text, "1001 bytes, more than 1000"));
    cleanup_free char *huge = xcalloc(1, RECIPE_BYTES_MOST + 2);
    memset(huge, ' ', RECIPE_BYTES_MOST + 1);
    assert_false(recipe_parse(huge, &recipe, &mistake));
    assert_non_null(strstr(mistake.text, "longer than"));
}

static void test_a_date_is_one_that_the_calendar_has(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-13-01",
                                      "2026-02-30",
                                      "2026-1-1",
                                      "2026-01-00",
                                      "1969-12-31",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01 ",
                                      "+026-01-01",
                                      "2026-01-01T10:00:00",
                                      "2026-01-01T10:60:00Z"};
    int64_t seconds;
    for (size_t i = 0; i < COUNT(bad); i++)
        if (date_parse(bad[i], &seconds))
            fail_msg("accepted: %s", bad[i]);
    assert_true(date_parse("2028-02-29", &seconds));
    char text[DATE_TEXT_BYTES];
    date_format(seconds, text);
    assert_string_equal(text, "2028-02-29");
    assert_true(date_parse("9999-12-31T23:59:59Z", &seconds));
    date_format(seconds, text);
    assert_string_equal(text, "9999-12-31T23:59:59Z");
}

static void test_a_recipe_holds_for_its_time(void **state) {
    (void)state;
    struct recipe recipe = parse(RECIPE_GOOD);
    cleanup_free char *early = recipe_time_problem(&recipe, recipe.created - 1);
    assert_non_null(strstr(early, "future"));
    assert_null(recipe_time_problem(&recipe, recipe.created));
    assert_null(recipe_time_problem(&recipe, recipe.expires - 1));
    cleanup_free char *late = recipe_time_problem(&recipe, recipe.expires);
    assert_non_null(strstr(late, "expired on 2030-01-02T03:04:05Z"));
    recipe_free(&recipe);
}

/* ---- signing ---- */

struct signing {
    char *directory, *path, *private;
    struct recipe_key key;
};

static int begin_signing(void **state) {
    struct signing *signing = xcalloc(1, sizeof *signing);
    struct mistake mistake;
    char template[] = "/tmp/pinion-recipe-XXXXXX";
    signing->directory = xstrdup(mkdtemp(template) != NULL ? template : "");
    signing->path = xasprintf("%s/openssl-3.0.15" RECIPE_SUFFIX, signing->directory);
    signing->private = xasprintf("%s/key.pem", signing->directory);
    *state = signing;
    return recipe_key_generate(signing->private, &signing->key, &mistake) ? 0 : -1;
}

static int end_signing(void **state) {
    struct signing *signing = *state;
    cleanup_free char *command = xasprintf("rm -rf '%s'", signing->directory);
    int status = system(command);
    free(signing->directory);
    free(signing->path);
    free(signing->private);
    free(signing);
    return status;
}

static char *sign(const struct signing *signing, const char *text) {
    struct mistake mistake;
    char *result = recipe_sign(text, signing->private, &mistake);
    if (result == NULL)
        fail_msg("line %u: %s", mistake.line, mistake.text);
    return result;
}

/* NULL when the bytes are read as a recipe; else why not. */
static const char *refusal(const struct signing *signing, const char *data, size_t size) {
    static struct mistake mistake;
    struct recipe recipe;
    const struct recipe_key *signer = NULL;
    assert_true(atomic_file_write(signing->path, 0644, data, size));
    if (!recipe_read(signing->path, &signing->key, 1, &recipe, &signer, &mistake))
        return mistake.text;
    assert_ptr_equal(signer, &signing->key);
    recipe_free(&recipe);
    return NULL;
}

static void assert_refused(const struct signing *signing, const char *text, const char *message) {
    const char *why = refusal(signing, text, strlen(text));
    if (why == NULL || strstr(why, message) == NULL)
        fail_msg("%s\nfor: %s", why != NULL ? why : "accepted", text);
}

static void test_a_signed_recipe_is_read(void **state) {
    struct signing *signing = *state;
    cleanup_free char *text = sign(signing, RECIPE_GOOD);
    assert_null(refusal(signing, text, strlen(text)));
    cleanup_free char *again = sign(signing, text); /* Ed25519 signs the same text the same way */
    assert_string_equal(text, again);
}

/* Every bit of every byte, the signature line's too: none may go by. */
static void test_no_changed_byte_goes_by(void **state) {
    struct signing *signing = *state;
    cleanup_free char *text = sign(signing, RECIPE_GOOD);
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            text[i] ^= (char)(1u << bit);
            struct mistake mistake;
            if (strlen(text) == length && recipe_seal(text, &signing->key, 1, NULL, &mistake) == SEAL_GOOD)
                fail_msg("byte %zu, bit %u", i, bit);
            text[i] ^= (char)(1u << bit);
        }
    struct mistake mistake;
    assert_int_equal(recipe_seal(text, &signing->key, 1, NULL, &mistake), SEAL_GOOD);
    for (size_t i = 0; i < length; i++) {
        cleanup_free char *cut = xstrndup(text, i);
        assert_int_not_equal(recipe_seal(cut, &signing->key, 1, NULL, &mistake), SEAL_GOOD);
    }
}

static void test_what_is_not_signed_by_a_pinned_key_is_refused(void **state) {
    struct signing *signing = *state;
    struct mistake mistake;
    struct recipe recipe;
    assert_refused(signing, RECIPE_GOOD, "is not signed");
    cleanup_free char *text = sign(signing, RECIPE_GOOD);

    struct recipe_key other;
    cleanup_free char *other_private = xasprintf("%s/other.pem", signing->directory);
    assert_true(recipe_key_generate(other_private, &other, &mistake));
    cleanup_free char *foreign = recipe_sign(RECIPE_GOOD, other_private, &mistake);
    assert_refused(signing, foreign, "none of the 1 that the configuration pins");
    /* Another's signature under the pinned key's name. */
    memcpy(foreign, text, strlen("# pinion-recipe ") + 16);
    assert_refused(signing, foreign, "not over this text");

    /* Without any pinned key nothing is trusted, however the empty list is given. */
    assert_true(atomic_file_write(signing->path, 0644, text, strlen(text)));
    assert_false(recipe_read(signing->path, NULL, 0, &recipe, NULL, &mistake));
    assert_non_null(strstr(mistake.text, "no key is pinned"));
}

static void test_there_is_one_signature_line_and_it_is_the_first(void **state) {
    struct signing *signing = *state;
    struct mistake mistake;
    cleanup_free char *text = sign(signing, RECIPE_GOOD);
    cleanup_free char *line = xstrndup(text, strcspn(text, "\n") + 1);
    cleanup_free char *twice = xasprintf("%s%s", line, text);
    assert_refused(signing, twice, "may only be the first");
    assert_null(recipe_sign(twice, signing->private, &mistake));
    assert_int_equal(mistake.line, 2);
    cleanup_free char *late = xasprintf("\n%s", text);
    assert_refused(signing, late, "may only be the first");
    cleanup_free char *windows = xasprintf("%.*s\r\n%s", (int)strlen(line) - 1, line, RECIPE_GOOD);
    assert_refused(signing, windows, "damaged");
    cleanup_free char *lone = xstrndup(line, strlen(line) - 1);
    assert_refused(signing, lone, "damaged");
}

static void test_a_signature_is_of_one_file_name(void **state) {
    struct signing *signing = *state;
    struct mistake mistake;
    struct recipe recipe;
    cleanup_free char *text = sign(signing, RECIPE_GOOD);
    static const char *const names[] = {"other.recipe", "openssl-3.0.15", "xopenssl-3.0.15.recipe",
                                        "openssl-3.0.15.recipe.recipe"};
    for (size_t i = 0; i < COUNT(names); i++) {
        cleanup_free char *path = xasprintf("%s/%s", signing->directory, names[i]);
        assert_true(atomic_file_write(path, 0644, text, strlen(text)));
        assert_false(recipe_read(path, &signing->key, 1, &recipe, NULL, &mistake));
        assert_non_null(strstr(mistake.text, "\"openssl-3.0.15.recipe\""));
    }
}

static void test_bytes_that_are_no_text_are_refused(void **state) {
    struct signing *signing = *state;
    cleanup_free char *text = sign(signing, RECIPE_GOOD);
    size_t length = strlen(text);
    const char *why = refusal(signing, text, length + 1); /* a zero byte, behind which anything could stand */
    assert_non_null(why);
    assert_non_null(strstr(why, "zero byte"));
    cleanup_free char *huge = xcalloc(1, RECIPE_BYTES_MOST + 1);
    why = refusal(signing, huge, RECIPE_BYTES_MOST + 1);
    assert_non_null(why);
    assert_non_null(strstr(why, "too large"));
}

/* What is verified is what is parsed: a file that is replaced between two looks at it cannot be both. */
static void test_the_file_is_opened_once(void **state) {
    struct signing *signing = *state;
    cleanup_free char *text = sign(signing, RECIPE_GOOD);
    assert_true(atomic_file_write(signing->path, 0644, text, strlen(text)));
    cleanup_fd int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    assert_true(inotify_add_watch(watch, signing->path, IN_OPEN | IN_CLOSE) >= 0);
    struct recipe recipe;
    struct mistake mistake;
    assert_true(recipe_read(signing->path, &signing->key, 1, &recipe, NULL, &mistake));
    recipe_free(&recipe);
    struct inotify_event events[16];
    ssize_t length = read(watch, events, sizeof events);
    assert_int_equal(length, 2 * sizeof events[0]); /* opened, closed */
}

static void test_what_is_no_recipe_is_not_signed(void **state) {
    struct signing *signing = *state;
    struct mistake mistake;
    assert_null(recipe_sign("recipe = \"x\";\n", signing->private, &mistake));
    assert_non_null(strstr(mistake.text, "has no"));
}

static void test_a_private_key_stays_private(void **state) {
    struct signing *signing = *state;
    struct mistake mistake;
    struct recipe_key key;
    struct stat status;
    assert_int_equal(stat(signing->private, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_false(recipe_key_generate(signing->private, &key, &mistake));
    assert_non_null(strstr(mistake.text, "never replaced"));
    assert_int_equal(chmod(signing->private, 0640), 0);
    assert_null(recipe_sign(RECIPE_GOOD, signing->private, &mistake));
    assert_non_null(strstr(mistake.text, "others may read"));
    assert_int_equal(chmod(signing->private, 0600), 0);
    assert_null(recipe_sign(RECIPE_GOOD, "/dev/null", &mistake));
}

static void test_a_pin_has_one_spelling(void **state) {
    struct signing *signing = *state;
    struct recipe_key key;
    cleanup_free char *pin = recipe_key_format(&signing->key);
    assert_true(recipe_key_parse(pin, &key));
    assert_memory_equal(&key, &signing->key, sizeof key);
    /* The RFC 8032 key of its first test, by OpenSSL's `dgst` named 21fe31dfa154a261. */
    assert_true(recipe_key_parse("ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", &key));
    assert_string_equal(key.name, "21fe31dfa154a261");
    static const char *const bad[] = {
        "",
        "ed25519:",
        "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURp=", /* bits behind the end */
        "ed25519: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=x",
        "rsa:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        if (recipe_key_parse(bad[i], &key))
            fail_msg("accepted: %s", bad[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_a_recipe_is_read),
        cmocka_unit_test(test_what_is_left_out_has_its_default),
        cmocka_unit_test(test_what_is_written_reads_back),
        cmocka_unit_test(test_each_mistake_has_its_line_and_remedy),
        cmocka_unit_test(test_a_text_has_its_limits),
        cmocka_unit_test(test_a_date_is_one_that_the_calendar_has),
        cmocka_unit_test(test_a_recipe_holds_for_its_time),
        cmocka_unit_test_setup_teardown(test_a_signed_recipe_is_read, begin_signing, end_signing),
        cmocka_unit_test_setup_teardown(test_no_changed_byte_goes_by, begin_signing, end_signing),
        cmocka_unit_test_setup_teardown(test_what_is_not_signed_by_a_pinned_key_is_refused, begin_signing, end_signing),
        cmocka_unit_test_setup_teardown(test_there_is_one_signature_line_and_it_is_the_first, begin_signing,
                                        end_signing),
        cmocka_unit_test_setup_teardown(test_a_signature_is_of_one_file_name, begin_signing, end_signing),
        cmocka_unit_test_setup_teardown(test_bytes_that_are_no_text_are_refused, begin_signing, end_signing),
        cmocka_unit_test_setup_teardown(test_the_file_is_opened_once, begin_signing, end_signing),
        cmocka_unit_test_setup_teardown(test_what_is_no_recipe_is_not_signed, begin_signing, end_signing),
        cmocka_unit_test_setup_teardown(test_a_private_key_stays_private, begin_signing, end_signing),
        cmocka_unit_test_setup_teardown(test_a_pin_has_one_spelling, begin_signing, end_signing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
