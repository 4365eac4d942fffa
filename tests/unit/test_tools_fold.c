/* Folding observed facts into a policy: a union that does not depend on order, and refuses what static analysis rules
 * out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <sys/un.h>

#include "tests/unit/policies.h"
#include "tests/unit/records.h"
#include "tools/allows.h"
#include "tools/fold.h"

#define RECORD_SIZE 65536

static struct identity program_id, library_id, other_id;

static int set_up(void **state) {
    (void)state;
    identity_parse("aa01", &program_id);
    identity_parse("bb02", &library_id);
    identity_parse("cc03", &other_id);
    return 0;
}

/* ---- Records ---- */

struct recorder {
    char *image;
    unsigned slot;
};

static struct recorder recorder_begin(void) {
    struct recorder recorder = {.image = record_create(RECORD_SIZE)};
    struct record_entry name = {.api = API_NONE, .argument = RECORD_PROGRAM, .program = program_id};
    record_put(recorder.image, recorder.slot++, name, "/usr/sbin/service", 17);
    name = (struct record_entry){.api = API_NONE, .argument = RECORD_MODULE, .module = program_id};
    record_put(recorder.image, recorder.slot++, name, "/usr/sbin/service", 17);
    name.module = library_id;
    record_put(recorder.image, recorder.slot++, name, "/usr/lib/libplugin.so", 21);
    return recorder;
}

static struct record_entry entry_of(uint32_t offset, unsigned api, unsigned argument) {
    return (struct record_entry){.api = (uint16_t)api,
                                 .argument = (uint8_t)argument,
                                 .offset = offset,
                                 .program = program_id,
                                 .module = program_id};
}

static void record_site(struct recorder *recorder, uint32_t offset, unsigned api) {
    record_put(recorder->image, recorder->slot++, entry_of(offset, api, RECORD_SITE), "", 0);
}

static void record_text(struct recorder *recorder, uint32_t offset, unsigned api, unsigned argument, const char *text) {
    record_put(recorder->image, recorder->slot++, entry_of(offset, api, argument), text, strlen(text));
}

static void record_number(struct recorder *recorder, uint32_t offset, unsigned api, unsigned argument, int64_t value) {
    struct record_entry entry = entry_of(offset, api, argument);
    entry.integer = value;
    record_put(recorder->image, recorder->slot++, entry, "", 0);
}

static void observe(struct observed *observed, struct recorder *recorder) {
    cleanup_fd int fd = memfd_create("record", MFD_CLOEXEC);
    char path[32];
    struct mistake mistake = {0};
    assert_int_equal(write(fd, recorder->image, RECORD_SIZE), RECORD_SIZE);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (!observed_read(observed, path, &mistake))
        fail_msg("%s", mistake.text);
    free(recorder->image);
}

/* ---- Policies ---- */

static struct site *add_site(struct document *document, uint32_t offset, unsigned api) {
    return module_site(document_module(document, &program_id, "/usr/sbin/service"), offset, (uint16_t)api);
}

static void allow_text(struct site *site, uint8_t argument, enum origin origin, const char *text) {
    constraint_add(site_constraint(site, argument),
                   (struct value){.origin = origin, .kind = VALUE_TEXT, .text = xstrdup(text)});
}

static void allow_any(struct site *site, uint8_t argument) {
    struct constraint *constraint = site_constraint(site, argument);
    constraint->any = true;
    constraint->why_any = xstrdup("heap");
}

static void begin_document(struct document *document) {
    document_init(document);
    document->program = xstrdup("/usr/sbin/service");
    document->identity = program_id;
    document_module(document, &program_id, "/usr/sbin/service");
}

static char *text_of(const struct document *document) {
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    document_write_text(document, stream);
    fclose(stream);
    return text;
}

static const struct fold_options by_names = {.pin = PIN_NAMES};

/* Folds what was recorded and frees it. */
static struct notes fold_recorded(struct document *document, struct recorder *recorder,
                                  const struct fold_options *options) {
    struct observed observed = {0};
    struct notes notes = {0};
    observe(&observed, recorder);
    observed_sort(&observed);
    fold(document, &observed, options, &notes);
    observed_free(&observed);
    return notes;
}

static const struct constraint *constraint_of(struct document *document, uint32_t offset, unsigned api,
                                              uint8_t argument) {
    return site_constraint(module_site(&document->modules[0], offset, (uint16_t)api), argument);
}

static void assert_value(const struct constraint *constraint, size_t index, enum origin origin, enum value_kind kind,
                         const char *text) {
    assert_true(index < constraint->value_count);
    assert_int_equal(constraint->values[index].origin, origin);
    assert_int_equal(constraint->values[index].kind, kind);
    assert_string_equal(constraint->values[index].text, text);
}

/* ---- What becomes of values ---- */

static void test_an_unknown_path_is_closed_to_what_was_observed(void **state) {
    (void)state;
    struct document document;
    begin_document(&document);
    allow_any(add_site(&document, 0x10, API_open), 0);
    struct recorder recorder = recorder_begin();
    record_site(&recorder, 0x10, API_open);
    record_text(&recorder, 0x10, API_open, 0, "/etc/service.conf");
    record_number(&recorder, 0x10, API_open, 1, 0);
    struct notes notes = fold_recorded(&document, &recorder, &by_names);
    const struct constraint *path = constraint_of(&document, 0x10, API_open, 0);
    assert_false(path->any);
    assert_int_equal(path->value_count, 1);
    assert_value(path, 0, ORIGIN_LEARNED, VALUE_TEXT, "/etc/service.conf");
    /* A number is not pinned by default. */
    assert_int_equal(module_site(&document.modules[0], 0x10, API_open)->constraint_count, 1);
    assert_int_equal(notes.by_kind[NOTE_CLOSED], 1);
    assert_true(notes_changed(&notes));
    notes_free(&notes);
    document_free(&document);
}

/* A pattern with a part that comes from elsewhere is what an attacker would fill in. */
static void test_an_open_pattern_is_closed_to_what_was_observed(void **state) {
    (void)state;
    static const struct fold_options none = {.pin = PIN_NONE};
    for (unsigned round = 0; round < 2; round++) {
        struct document document;
        begin_document(&document);
        struct site *site = add_site(&document, 0x10, API_system);
        constraint_add(site_constraint(site, 0),
                       (struct value){.origin = ORIGIN_STATIC, .kind = VALUE_GLOB, .text = xstrdup("getent hosts %s")});
        allow_text(site, 0, ORIGIN_STATIC, "getent passwd");
        struct recorder recorder = recorder_begin();
        record_site(&recorder, 0x10, API_system);
        record_text(&recorder, 0x10, API_system, 0, "getent hosts localhost");
        record_text(&recorder, 0x10, API_system, 0, "uptime");
        struct notes notes = fold_recorded(&document, &recorder, round == 0 ? &by_names : &none);
        const struct constraint *command = constraint_of(&document, 0x10, API_system, 0);
        assert_int_equal(notes.by_kind[NOTE_CONFLICT], 1);
        assert_int_equal(command->value_count, 2);
        if (round == 0) {
            assert_value(command, 0, ORIGIN_LEARNED, VALUE_TEXT, "getent hosts localhost");
            assert_value(command, 1, ORIGIN_STATIC, VALUE_TEXT, "getent passwd");
        } else {
            assert_value(command, 0, ORIGIN_STATIC, VALUE_TEXT, "getent passwd");
            assert_value(command, 1, ORIGIN_STATIC, VALUE_GLOB, "getent hosts %s");
        }
        notes_free(&notes);
        document_free(&document);
    }
}

static void test_pin_decides_what_is_closed(void **state) {
    (void)state;
    static const struct {
        enum pin pin;
        size_t constraints;
    } expected[] = {{PIN_NONE, 0}, {PIN_NAMES, 1}, {PIN_ALL, 2}};
    for (size_t i = 0; i < 3; i++) {
        struct document document;
        begin_document(&document);
        add_site(&document, 0x10, API_open);
        struct recorder recorder = recorder_begin();
        record_text(&recorder, 0x10, API_open, 0, "/etc/service.conf");
        record_number(&recorder, 0x10, API_open, 1, 0);
        struct fold_options options = {.pin = expected[i].pin};
        struct notes notes = fold_recorded(&document, &recorder, &options);
        assert_int_equal(module_site(&document.modules[0], 0x10, API_open)->constraint_count, expected[i].constraints);
        notes_free(&notes);
        document_free(&document);
    }
}

static void test_what_static_analysis_rules_out_is_a_conflict(void **state) {
    (void)state;
    struct document document;
    begin_document(&document);
    allow_text(add_site(&document, 0x10, API_system), 0, ORIGIN_STATIC, "/bin/ls");
    allow_text(add_site(&document, 0x10, API_system), 0, ORIGIN_MANUAL, "/bin/df");
    struct recorder recorder = recorder_begin();
    record_text(&recorder, 0x10, API_system, 0, "/bin/ls");
    record_text(&recorder, 0x10, API_system, 0, "/bin/df");
    record_text(&recorder, 0x10, API_system, 0, "id");
    cleanup_free char *before = text_of(&document);
    struct notes notes = fold_recorded(&document, &recorder, &by_names);
    cleanup_free char *after = text_of(&document);
    assert_string_equal(before, after);
    assert_int_equal(notes.by_kind[NOTE_CONFLICT], 1);
    assert_string_equal(notes.items[0].where, "service+0x10:system, argument command");
    assert_non_null(strstr(notes.items[0].text, "id "));
    assert_false(notes_changed(&notes));
    notes_free(&notes);
    document_free(&document);
}

static void allow(struct document *document, uint32_t offset, unsigned api, uint8_t argument, enum origin origin,
                  const char *text) {
    struct value value;
    struct mistake mistake = {0};
    if (!value_parse(text, api_table[api].arguments[argument].kind, &value, &mistake))
        fail_msg("%s", mistake.text);
    value.origin = origin;
    constraint_add(site_constraint(add_site(document, offset, api), argument), value);
}

/* What static analysis states as patterns, masks and ports is closed like its constants. */
static void test_every_form_of_static_values_is_closed(void **state) {
    (void)state;
    struct document document;
    begin_document(&document);
    allow(&document, 0x10, API_open, 0, ORIGIN_STATIC, "glob:/proc/%d/stat");
    allow(&document, 0x10, API_open, 1, ORIGIN_STATIC, "mask:O_WRONLY|O_CREAT");
    allow(&document, 0x20, API_bind, 1, ORIGIN_STATIC, "inet:*:80");
    cleanup_free char *before = text_of(&document);
    struct sockaddr_in right = {.sin_family = AF_INET, .sin_port = htons(80)}, wrong = right;
    wrong.sin_port = htons(81);
    struct recorder recorder = recorder_begin();
    record_text(&recorder, 0x10, API_open, 0, "/proc/12/stat");
    record_text(&recorder, 0x10, API_open, 0, "/proc/self/stat");
    record_number(&recorder, 0x10, API_open, 1, 01);
    record_number(&recorder, 0x10, API_open, 1, 01000);
    record_put(recorder.image, recorder.slot++, entry_of(0x20, API_bind, 1), &right, sizeof(right));
    record_put(recorder.image, recorder.slot++, entry_of(0x20, API_bind, 1), &wrong, sizeof(wrong));
    struct notes notes = fold_recorded(&document, &recorder, &by_names);
    cleanup_free char *after = text_of(&document);
    assert_string_equal(before, after);
    assert_int_equal(notes.by_kind[NOTE_CONFLICT], 3);
    assert_int_equal(notes.count, 3);
    notes_free(&notes);
    document_free(&document);
}

static void test_only_a_manual_value_widens_what_is_closed(void **state) {
    (void)state;
    struct document document;
    begin_document(&document);
    allow(&document, 0x10, API_open, 0, ORIGIN_STATIC, "/etc/a");
    allow(&document, 0x10, API_open, 0, ORIGIN_MANUAL, "glob:/etc/conf.d/*");
    struct recorder recorder = recorder_begin();
    record_text(&recorder, 0x10, API_open, 0, "/etc/conf.d/b");
    record_text(&recorder, 0x10, API_open, 0, "/etc/c");
    struct notes notes = fold_recorded(&document, &recorder, &by_names);
    assert_int_equal(notes.by_kind[NOTE_CONFLICT], 1);
    assert_non_null(strstr(notes.items[0].text, "/etc/c "));
    assert_int_equal(constraint_of(&document, 0x10, API_open, 0)->value_count, 2);
    notes_free(&notes);
    document_free(&document);
}

/* ---- Vectors ---- */

static void record_element(struct recorder *recorder, uint32_t offset, unsigned position, const char *text) {
    struct record_entry entry = entry_of(offset, API_execve, 1);
    entry.position = (uint8_t)position;
    entry.integer = text == NULL;
    record_put(recorder->image, recorder->slot++, entry, text == NULL ? "" : text, text == NULL ? 0 : strlen(text));
}

/* sh -c ANYTHING, and nothing shorter, longer or other; what was observed for ANYTHING takes its place. */
static void test_a_static_vector_is_closed_in_its_elements_and_its_length(void **state) {
    (void)state;
    static const struct {
        const char *elements[5]; /* ends with a null pointer */
        size_t conflicts;
    } cases[] = {
        {{"sh", "-c", "id"}, 0}, {{"sh", "-c", "../x"}, 0},       {{"sh", "-x", "id"}, 1},
        {{"sh", "-c"}, 1},       {{"sh", "-c", "id", "more"}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct document document;
        begin_document(&document);
        allow(&document, 0x10, API_execve, 1, ORIGIN_STATIC, "[0] sh");
        allow(&document, 0x10, API_execve, 1, ORIGIN_STATIC, "[1] -c");
        allow(&document, 0x10, API_execve, 1, ORIGIN_STATIC, "[2] glob:%s");
        struct recorder recorder = recorder_begin();
        unsigned count = 0;
        for (; cases[i].elements[count] != NULL; count++)
            record_element(&recorder, 0x10, count, cases[i].elements[count]);
        record_element(&recorder, 0x10, count, NULL);
        struct notes notes = fold_recorded(&document, &recorder, &by_names);
        if (notes.by_kind[NOTE_CONFLICT] != cases[i].conflicts)
            fail_msg("case %zu: %zu conflicts, first: %s", i, notes.by_kind[NOTE_CONFLICT],
                     notes.count > 0 ? notes.items[0].text : "none");
        notes_free(&notes);
        document_free(&document);
    }
}

/* What a person allowed for all elements stays allowed at a position at which something else was learned. */
static void test_learning_an_element_takes_nothing_away(void **state) {
    (void)state;
    struct document document;
    begin_document(&document);
    allow(&document, 0x10, API_execve, 1, ORIGIN_MANUAL, "[*] glob:*.c");
    struct recorder recorder = recorder_begin();
    record_element(&recorder, 0x10, 0, "cc");
    record_element(&recorder, 0x10, 1, "a.c");
    record_element(&recorder, 0x10, 2, NULL);
    struct notes notes = fold_recorded(&document, &recorder, &by_names);
    const struct constraint *vector = constraint_of(&document, 0x10, API_execve, 1);
    struct value other = {.kind = VALUE_TEXT, .text = "b.c"};
    assert_true(constraint_lists(vector, KIND_ARGV, &other));
    other.text = "cc";
    assert_true(constraint_lists(vector, KIND_ARGV, &other));
    other.position = 1;
    assert_false(constraint_lists(vector, KIND_ARGV, &other));
    assert_int_equal(notes.by_kind[NOTE_VALUE], 2);
    notes_free(&notes);
    document_free(&document);
}

static void test_learned_and_manual_values_are_joined_by_more(void **state) {
    (void)state;
    static const enum origin origins[] = {ORIGIN_LEARNED, ORIGIN_MANUAL};
    for (size_t i = 0; i < 2; i++) {
        struct document document;
        begin_document(&document);
        allow_text(add_site(&document, 0x10, API_system), 0, origins[i], "/bin/ls");
        struct recorder recorder = recorder_begin();
        record_text(&recorder, 0x10, API_system, 0, "id");
        struct notes notes = fold_recorded(&document, &recorder, &by_names);
        assert_int_equal(notes.by_kind[NOTE_CONFLICT], 0);
        const struct constraint *command = constraint_of(&document, 0x10, API_system, 0);
        assert_int_equal(command->value_count, 2);
        assert_value(command, 1, ORIGIN_LEARNED, VALUE_TEXT, "id");
        notes_free(&notes);
        document_free(&document);
    }
}

static void test_volatile_parts_and_data_become_patterns(void **state) {
    (void)state;
    static const char *const data[] = {"/srv/www/"};
    struct document document;
    begin_document(&document);
    add_site(&document, 0x10, API_open);
    struct recorder recorder = recorder_begin();
    record_text(&recorder, 0x10, API_open, 0, "/proc/1/stat");
    record_text(&recorder, 0x10, API_open, 0, "/proc/22/stat");
    record_text(&recorder, 0x10, API_open, 0, "/srv/www/index.html");
    record_text(&recorder, 0x10, API_open, 0, "/srv/www/a/b.css");
    record_text(&recorder, 0x10, API_open, 0, "/srv/www/../../etc/shadow");
    record_text(&recorder, 0x10, API_open, 0, "/srv/wwwroot");
    struct fold_options options = {.pin = PIN_NAMES, .data = data, .data_count = 1};
    struct notes notes = fold_recorded(&document, &recorder, &options);
    const struct constraint *path = constraint_of(&document, 0x10, API_open, 0);
    assert_int_equal(path->value_count, 4);
    assert_value(path, 0, ORIGIN_LEARNED, VALUE_TEXT, "/srv/www/../../etc/shadow");
    assert_value(path, 1, ORIGIN_LEARNED, VALUE_TEXT, "/srv/wwwroot");
    assert_value(path, 2, ORIGIN_LEARNED, VALUE_GLOB, "/proc/%d/stat");
    assert_value(path, 3, ORIGIN_LEARNED, VALUE_GLOB, "/srv/www/**");
    notes_free(&notes);
    document_free(&document);
}

static void test_addresses_are_read_as_the_kernel_reads_them(void **state) {
    (void)state;
    struct document document;
    begin_document(&document);
    struct recorder recorder = recorder_begin();
    struct sockaddr_in internet = {.sin_family = AF_INET, .sin_port = htons(8080)};
    inet_pton(AF_INET, "127.0.0.1", &internet.sin_addr);
    struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/run//service-1234.sock"};
    struct sockaddr_un abstract = {.sun_family = AF_UNIX, .sun_path = "\0name"};
    record_put(recorder.image, recorder.slot++, entry_of(0x10, API_bind, 1), &internet, sizeof(internet));
    record_put(recorder.image, recorder.slot++, entry_of(0x10, API_bind, 1), &local, sizeof(local));
    record_put(recorder.image, recorder.slot++, entry_of(0x10, API_bind, 1), &abstract, 2 + 5);
    record_put(recorder.image, recorder.slot++, entry_of(0x10, API_bind, 1), "\2", 1); /* no address */
    struct notes notes = fold_recorded(&document, &recorder, &by_names);
    const struct constraint *address = constraint_of(&document, 0x10, API_bind, 1);
    assert_int_equal(address->value_count, 3);
    static const char *const expected[] = {"unix:glob:/run/service-%d.sock", "unix:@name", "inet:127.0.0.1:8080"};
    for (size_t i = 0; i < 3; i++) {
        bool found = false;
        for (size_t at = 0; at < 3; at++) {
            char text[128];
            value_format(&address->values[at], KIND_SOCKADDR, text, sizeof(text));
            found |= strcmp(text, expected[i]) == 0;
        }
        if (!found)
            fail_msg("%s was not learned", expected[i]);
    }
    notes_free(&notes);
    document_free(&document);
}

/* ---- Sites, modules, children ---- */

static void test_sites_and_modules_that_were_not_known_are_added_as_learned(void **state) {
    (void)state;
    struct document document;
    begin_document(&document);
    struct recorder recorder = recorder_begin();
    record_site(&recorder, 0x10, API_fork);
    struct record_entry plugin = entry_of(0x99, API_dlopen, RECORD_SITE);
    plugin.module = library_id;
    record_put(recorder.image, recorder.slot++, plugin, "", 0);
    struct notes notes = fold_recorded(&document, &recorder, &by_names);
    assert_int_equal(notes.by_kind[NOTE_SITE], 2);
    assert_int_equal(notes.by_kind[NOTE_MODULE], 1);
    assert_int_equal(document.module_count, 2);
    assert_string_equal(document.modules[1].path, "/usr/lib/libplugin.so");
    assert_int_equal(document.modules[1].site_count, 1);
    assert_int_equal(document.modules[1].sites[0].origin, ORIGIN_LEARNED);
    notes_free(&notes);
    document_free(&document);
}

static void test_facts_of_other_programs_are_left_alone(void **state) {
    (void)state;
    struct document document;
    begin_document(&document);
    document.identity = other_id;
    struct recorder recorder = recorder_begin();
    record_site(&recorder, 0x10, API_fork);
    cleanup_free char *before = text_of(&document);
    struct notes notes = fold_recorded(&document, &recorder, &by_names);
    cleanup_free char *after = text_of(&document);
    assert_string_equal(before, after);
    assert_int_equal(notes.count, 0);
    notes_free(&notes);
    document_free(&document);
}

static void test_an_unprotected_child_is_allowed_only_on_request(void **state) {
    (void)state;
    for (int allowed = 0; allowed < 2; allowed++) {
        struct document document;
        begin_document(&document);
        add_site(&document, 0x10, API_execve);
        struct recorder recorder = recorder_begin();
        record_text(&recorder, 0x10, API_execve, RECORD_CHILD, "/usr/bin/sudo");
        struct fold_options options = {.pin = PIN_NAMES, .children = allowed};
        struct notes notes = fold_recorded(&document, &recorder, &options);
        assert_int_equal(notes.by_kind[NOTE_REFUSED_CHILD], !allowed);
        assert_int_equal(notes.by_kind[NOTE_CHILD], allowed);
        assert_int_equal(module_site(&document.modules[0], 0x10, API_execve)->child_count, allowed);
        notes_free(&notes);
        document_free(&document);
    }
}

/* ---- The algebra ---- */

/* A policy with arguments of every sort. */
static void mixed_document(struct document *document) {
    begin_document(document);
    allow_any(add_site(document, 0x10, API_open), 0);
    allow_any(add_site(document, 0x20, API_open), 0);
    allow_text(add_site(document, 0x20, API_open), 0, ORIGIN_STATIC, "/seen/0"); /* beside "any" */
    allow_text(add_site(document, 0x30, API_open), 0, ORIGIN_STATIC, "/seen/0");
    allow_text(add_site(document, 0x40, API_open), 0, ORIGIN_MANUAL, "/seen/1");
    constraint_add(site_constraint(add_site(document, 0x50, API_open), 0),
                   (struct value){.origin = ORIGIN_MANUAL, .kind = VALUE_GLOB, .text = xstrdup("/seen/*")});
    allow(document, 0x60, API_execve, 1, ORIGIN_MANUAL, "[*] glob:/seen/*");
    document_sort(document);
}

static void record_at_random(struct recorder *recorder, struct random *random) {
    static const char *const texts[] = {"/seen/0", "/seen/1", "/proc/5/stat",   "/proc/77/stat", "/tmp/a.AbC123",
                                        "/a b",    "/x",      "/tmp/a.noooooo", "/srv/x/y",      "/srv/../y"};
    for (unsigned i = random_below(random, 12); i > 0; i--) {
        uint32_t offset = 0x10 * (1 + random_below(random, 8));
        unsigned api = offset == 0x60 ? API_execve : API_open;
        const char *text = texts[random_below(random, 10)];
        switch (random_below(random, 5)) {
        case 4:
            for (unsigned position = random_below(random, 4); api == API_execve; position--) {
                record_element(recorder, offset, position, position % 2 ? text : NULL);
                if (position == 0)
                    break;
            }
            break;
        case 0: record_number(recorder, offset, api, api == API_open ? 1 : 0, random_below(random, 3)); break;
        case 1: record_site(recorder, offset, api); break;
        case 2: {
            struct record_entry entry = entry_of(offset, api, 0);
            entry.module = library_id;
            record_put(recorder->image, recorder->slot++, entry, text, strlen(text));
            break;
        }
        default: record_text(recorder, offset, api, 0, text); break;
        }
    }
}

enum {
    PARTS = 3
};

static struct recorder recorded_part(uint64_t seed, unsigned part) {
    struct random random = {seed * 31 + part * 2 + 1};
    struct recorder recorder = recorder_begin();
    record_at_random(&recorder, &random);
    return recorder;
}

static const char *const data_directories[] = {"/srv"};

/* All parts at once, in an order. */
static char *fold_together(uint64_t seed, const unsigned *order, enum pin pin) {
    struct document document;
    struct observed observed = {0};
    struct notes notes = {0};
    struct fold_options options = {.pin = pin, .data = data_directories, .data_count = 1};
    mixed_document(&document);
    for (unsigned i = 0; i < PARTS; i++) {
        struct recorder recorder = recorded_part(seed, order[i]);
        observe(&observed, &recorder);
    }
    observed_sort(&observed);
    fold(&document, &observed, &options, &notes);
    char *text = text_of(&document);
    observed_free(&observed);
    notes_free(&notes);
    document_free(&document);
    return text;
}

/* One after the other, the first one twice; each result is written and read in between, as a user's would be. */
static char *fold_in_turn(uint64_t seed, const unsigned *order, enum pin pin) {
    struct document document;
    struct fold_options options = {.pin = pin, .data = data_directories, .data_count = 1};
    mixed_document(&document);
    for (unsigned i = 0; i <= PARTS; i++) {
        struct recorder recorder = recorded_part(seed, order[i % PARTS]);
        struct notes notes = fold_recorded(&document, &recorder, &options);
        notes_free(&notes);
        cleanup_free char *text = text_of(&document);
        cleanup_fd int fd = memfd_create("policy", MFD_CLOEXEC);
        char path[32];
        struct mistake mistake = {0};
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        document_free(&document);
        document_init(&document);
        if (!document_read_text(path, &document, &mistake))
            fail_msg("line %u: %s", mistake.line, mistake.text);
    }
    char *text = text_of(&document);
    document_free(&document);
    return text;
}

static void test_the_result_depends_on_no_order(void **state) {
    (void)state;
    static const unsigned orders[][PARTS] = {{0, 1, 2}, {2, 0, 1}, {1, 0, 2}};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        enum pin pin = PIN_NAMES + seed % 2;
        cleanup_free char *expected = fold_together(seed, orders[0], pin);
        for (unsigned i = 0; i < 3; i++) {
            cleanup_free char *together = fold_together(seed, orders[i], pin);
            cleanup_free char *in_turn = fold_in_turn(seed, orders[i], pin);
            assert_string_equal(together, expected);
            assert_string_equal(in_turn, expected);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_unknown_path_is_closed_to_what_was_observed),
        cmocka_unit_test(test_an_open_pattern_is_closed_to_what_was_observed),
        cmocka_unit_test(test_pin_decides_what_is_closed),
        cmocka_unit_test(test_what_static_analysis_rules_out_is_a_conflict),
        cmocka_unit_test(test_every_form_of_static_values_is_closed),
        cmocka_unit_test(test_only_a_manual_value_widens_what_is_closed),
        cmocka_unit_test(test_a_static_vector_is_closed_in_its_elements_and_its_length),
        cmocka_unit_test(test_learning_an_element_takes_nothing_away),
        cmocka_unit_test(test_learned_and_manual_values_are_joined_by_more),
        cmocka_unit_test(test_volatile_parts_and_data_become_patterns),
        cmocka_unit_test(test_addresses_are_read_as_the_kernel_reads_them),
        cmocka_unit_test(test_sites_and_modules_that_were_not_known_are_added_as_learned),
        cmocka_unit_test(test_facts_of_other_programs_are_left_alone),
        cmocka_unit_test(test_an_unprotected_child_is_allowed_only_on_request),
        cmocka_unit_test(test_the_result_depends_on_no_order),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
