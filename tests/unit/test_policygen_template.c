/* Templates: what printf may make of a format, and the patterns that allow exactly that and no less. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policygen/effects.h"
#include "policygen/template.h"
#include "runtime/match.h"
#include "tests/unit/policies.h"

#define TEXT_BYTES 512
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* A template in a notation of its own: '#' digits, '~' a word, '@' anything. */
static struct template parse(struct arena *arena, const char *text) {
    struct template template = {NULL, 0, 0};
    for (; *text != '\0'; text++) {
        struct template piece = *text == '#'   ? template_piece(arena, PIECE_DIGITS, 11)
                                : *text == '~' ? template_piece(arena, PIECE_WORD, 8)
                                : *text == '@' ? template_piece(arena, PIECE_ANY, TEMPLATE_UNBOUNDED)
                                               : template_text(arena, text, 1);
        template = template_join(arena, template, piece);
    }
    return template;
}

/* The patterns, with a '|' behind each. */
static void patterns_of(struct template template, bool path, char out[TEXT_BYTES]) {
    char *texts[TEMPLATE_MAX_TEXTS];
    bool exact[TEMPLATE_MAX_TEXTS];
    unsigned count = template_patterns(template, path, texts, exact);
    size_t length = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < count; i++) {
        length += (size_t)snprintf(out + length, TEXT_BYTES - length, "%s|", texts[i]);
        free(texts[i]);
    }
}

static void test_patterns_say_what_templates_mean(void **state) {
    (void)state;
    static const struct {
        const char *template;
        bool path;
        const char *patterns;
    } cases[] = {
        {"/etc/x", true, "/etc/x|"},
        {"/proc/#/stat", true, "/proc/%d/stat|"},
        {"/run/~.pid", true, "/run/*.pid|"},
        {"/run/@.pid", true, "/run/%s.pid|"},
        {"a*?%\\b#", true, "a\\*\\?\\%\\\\b%d|"},
        {"a*?%\\b", true, "a*?%\\b|"},
        {"/a//b/./#", true, "/a/b/%d|"},
        {"/a//b/./#", false, "/a//b/./%d|"},
        {"/a/@/b", true, "/a/%s/b|/a/b|"},
        {"/a/@/b", false, "/a/%s/b|"},
        {"@./x", true, "%s/x|"},
        {"/a/.@", true, "/a/%s|"},
        {"@.@", true, "%s|"},
        {"../#", true, "../%s|"},
        {"~~", true, "*|"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct arena arena = {0};
        char patterns[TEXT_BYTES];
        patterns_of(parse(&arena, cases[i].template), cases[i].path, patterns);
        assert_string_equal(patterns, cases[i].patterns);
        arena_free(&arena);
    }
}

static void test_what_is_cut_off_leaves_beginnings(void **state) {
    (void)state;
    static const struct {
        const char *template;
        uint64_t room;
        const char *left;
    } cases[] = {
        {"abc", 4, "abc|"},    {"abc", 3, "ab|"},        {"abc", 1, "|"},  {"a#", 13, "a%d|"},
        {"a#", 12, "a*|a%d|"}, {"/t/@/x", 64, "/t/%s|"}, {"ab@", 2, "a|"},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct arena arena = {0};
        struct templates templates = {.count = 0};
        char left[TEXT_BYTES] = "", patterns[TEXT_BYTES];
        size_t length = 0;
        templates_add(&arena, &templates, parse(&arena, cases[i].template));
        templates_cut(&arena, &templates, cases[i].room);
        for (unsigned j = 0; j < templates.count; j++) {
            patterns_of(templates.items[j], false, patterns);
            length += (size_t)snprintf(left + length, sizeof left - length, "%s", patterns);
            assert_true(templates.items[j].longest < cases[i].room);
        }
        assert_string_equal(left, cases[i].left);
        arena_free(&arena);
    }
}

static void fill(struct random *random, const struct template *template, char *text) {
    size_t length = 0;
    for (size_t i = 0; i < template->count; i++) {
        switch (template->pieces[i].kind) {
        case PIECE_BYTE: text[length++] = template->pieces[i].byte; break;
        case PIECE_DIGITS: length += (size_t)sprintf(text + length, "%d", (int)random_below(random, 200) - 100); break;
        case PIECE_WORD: length += (size_t)sprintf(text + length, "%x", (unsigned)random_below(random, 4000)); break;
        default:
            for (size_t left = random_below(random, 5); left > 0; left--)
                text[length++] = "/./.a"[random_below(random, 5)];
        }
    }
    text[length] = '\0';
}

static bool is_allowed(struct template template, const char *text) {
    char *texts[TEMPLATE_MAX_TEXTS];
    bool exact[TEMPLATE_MAX_TEXTS], allowed = false;
    unsigned count = template_patterns(template, true, texts, exact);
    for (unsigned i = 0; i < count; i++) {
        allowed |= exact[i] ? strcmp(texts[i], text) == 0 : match_glob(texts[i], strlen(texts[i]), text, strlen(text));
        free(texts[i]);
    }
    return allowed || count == 0;
}

/* Whatever a program makes of a template is allowed once it is normalised, also when it was cut off. */
static void test_no_text_of_a_template_is_refused(void **state) {
    (void)state;
    struct random random = {7};
    unsigned told = 0;
    for (unsigned i = 0; i < 200000; i++) {
        struct arena arena = {0};
        char format[10] = "", text[256];
        size_t pieces = random_below(&random, sizeof format - 1);
        for (size_t j = 0; j < pieces; j++)
            format[j] = "//..ab#~@@"[random_below(&random, 10)];
        struct template template = parse(&arena, format);
        fill(&random, &template, text);
        struct templates templates = {.count = 0};
        templates_add(&arena, &templates, template);
        size_t room = 1 + random_below(&random, 24);
        bool cut = random_below(&random, 2) == 0;
        if (cut) {
            templates_cut(&arena, &templates, room);
            if (strlen(text) >= room)
                text[room - 1] = '\0';
        }
        char whole[256];
        memcpy(whole, text, sizeof whole);
        text[path_normalise(text, strlen(text))] = '\0';
        bool allowed = false;
        for (unsigned j = 0; j < templates.count; j++) {
            allowed |= is_allowed(templates.items[j], text);
            told += !is_allowed(templates.items[j], "/etc/shadow");
        }
        if (!allowed)
            fail_msg("template \"%s\", room %zu (%d), text \"%s\"", format, room, cut, whole);
        arena_free(&arena);
    }
    assert_true(told > 50000);
}

static void test_conversions_are_read_as_printf_reads_them(void **state) {
    (void)state;
    static const struct {
        const char *format;
        bool understood;
        enum piece_kind kind;
        uint32_t longest;
        unsigned stars;
    } cases[] = {
        {"%d", true, PIECE_DIGITS, 11, 0},
        {"%lu", true, PIECE_DIGITS, 20, 0},
        {"%05d", true, PIECE_DIGITS, 11, 0},
        {"%5d", true, PIECE_WORD, 11, 0},
        {"%-5d", true, PIECE_WORD, 11, 0},
        {"%+d", true, PIECE_WORD, 11, 0},
        {"%40d", true, PIECE_WORD, 40, 0},
        {"%.3d", true, PIECE_DIGITS, 11, 0},
        {"%.0d", true, PIECE_ANY, 11, 0},
        {"%.*d", true, PIECE_ANY, TEMPLATE_UNBOUNDED, 1},
        {"%*d", true, PIECE_WORD, TEMPLATE_UNBOUNDED, 1},
        {"%'d", true, PIECE_ANY, TEMPLATE_UNBOUNDED, 0},
        {"%x", true, PIECE_WORD, 10, 0},
        {"%08lx", true, PIECE_WORD, 18, 0},
        {"%p", true, PIECE_WORD, 18, 0},
        {"%s", true, PIECE_ANY, TEMPLATE_UNBOUNDED, 0},
        {"%g", true, PIECE_WORD, TEMPLATE_UNBOUNDED, 0},
        {"%Lg", false, PIECE_WORD, 0, 0},
        {"%ls", false, PIECE_ANY, 0, 0},
        {"%S", false, PIECE_ANY, 0, 0},
        {"%n", false, PIECE_ANY, 0, 0},
        {"%1$s", false, PIECE_ANY, 0, 0},
        {"%", false, PIECE_ANY, 0, 0},
        {"%5%", false, PIECE_ANY, 0, 0},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct conversion conversion;
        bool understood = template_conversion(cases[i].format, &conversion);
        if (understood != cases[i].understood ||
            (understood && (conversion.kind != cases[i].kind || conversion.longest != cases[i].longest ||
                            conversion.stars != cases[i].stars || *conversion.end != '\0')))
            fail_msg("%s: kind %d, longest %u", cases[i].format, (int)conversion.kind, conversion.longest);
    }
}

static void test_formats_that_write_are_told(void **state) {
    (void)state;
    assert_true(template_counts("%d%n"));
    assert_true(template_counts("%hhn"));
    assert_true(template_counts("%2$n"));
    assert_true(template_counts("%ls%n"));
    assert_false(template_counts("%d\n"));
    assert_false(template_counts("100%%n"));
    assert_false(template_counts("none"));
}

/* They are found by halving. */
static void test_effects_are_in_order(void **state) {
    (void)state;
    for (unsigned i = 0; i < effect_count; i++) {
        assert_true(i == 0 || strcmp(effect_table[i - 1].name, effect_table[i].name) < 0);
        assert_ptr_equal(effect_of(effect_table[i].name), &effect_table[i]);
    }
    assert_null(effect_of("qsort"));
    assert_null(effect_of("putenv"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns_say_what_templates_mean),
        cmocka_unit_test(test_what_is_cut_off_leaves_beginnings),
        cmocka_unit_test(test_no_text_of_a_template_is_refused),
        cmocka_unit_test(test_conversions_are_read_as_printf_reads_them),
        cmocka_unit_test(test_formats_that_write_are_told),
        cmocka_unit_test(test_effects_are_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
