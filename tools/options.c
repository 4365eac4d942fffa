/* Reading command lines from a table. Nothing here knows a particular verb; nothing here touches files. */
#include "tools/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/paragraph.h"

enum {
    HELP_COLUMN = 26
};

static void print_option(const struct option_row *row) {
    char left[64];
    int length = row->letter ? snprintf(left, sizeof left, "  -%c, --%s", row->letter, row->name)
                             : snprintf(left, sizeof left, "      --%s", row->name);
    if (row->argument)
        length += snprintf(left + length, sizeof left - (size_t)length, " %s", row->argument);
    fputs(left, stdout);
    if (length + 2 > HELP_COLUMN) {
        putchar('\n');
        length = 0;
    }
    printf("%*s", HELP_COLUMN - length, "");
    print_paragraph(row->help, HELP_COLUMN);
}

static _Noreturn void print_help(const struct usage *usage) {
    static const struct option_row help = {.name = "help", .letter = 'h', .help = "show this text"};
    printf("pinion %s: %s\n\nUsage: pinion %s [OPTION...] %s\n\nOptions:\n", usage->verb->name, usage->verb->summary,
           usage->verb->name, usage->arguments);
    for (size_t i = 0; i < usage->option_count; i++)
        print_option(&usage->options[i]);
    print_option(&help);
    if (usage->details)
        printf("\n%s", usage->details);
    exit(fflush(stdout) == 0 ? EXIT_FINE : EXIT_ERROR);
}

void options_mistake(const struct usage *usage, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "pinion %s: %s\nTry: pinion %s --help\n", usage->verb->name, text, usage->verb->name);
    exit(EXIT_ERROR);
}

static const struct option_row *find_long(const struct usage *usage, const char *name, size_t length) {
    for (size_t i = 0; i < usage->option_count; i++) {
        const char *known = usage->options[i].name;
        if (strlen(known) == length && memcmp(known, name, length) == 0)
            return &usage->options[i];
    }
    return NULL;
}

static const struct option_row *find_letter(const struct usage *usage, char letter) {
    for (size_t i = 0; i < usage->option_count; i++)
        if (usage->options[i].letter == letter)
            return &usage->options[i];
    return NULL;
}

static _Noreturn void unknown_option(const struct usage *usage, const char *word, size_t name_length) {
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)name_length, word);
    struct nearest nearest = nearest_begin(name + strspn(name, "-"));
    for (size_t i = 0; i < usage->option_count; i++)
        nearest_offer(&nearest, usage->options[i].name);
    if (nearest.best)
        options_mistake(usage, "unknown option %s (did you mean --%s?)", name, nearest.best);
    options_mistake(usage, "unknown option %s", name);
}

static void store(const struct option_row *row, const char *value) {
    if (row->flag) {
        *row->flag = true;
    } else if (row->text) {
        *row->text = value;
    } else {
        *array_append(row->list->items, row->list->count) = value;
    }
}

/* An option that needs a value has it in the same word, or it is the next one. Returns how many words it took. */
static int take_value(const struct usage *usage, const struct option_row *row, const char *value, const char *next) {
    if (!value && !next)
        options_mistake(usage, "option --%s needs a value: %s", row->name, row->argument);
    store(row, value ? value : next);
    return value ? 1 : 2;
}

/* "--name", "--name=value", "--name value" */
static int read_long(const struct usage *usage, const char *word, const char *next) {
    size_t length = strcspn(word, "=");
    const struct option_row *row = find_long(usage, word + 2, length - 2);
    const char *value = word[length] ? word + length + 1 : NULL;
    if (!row)
        unknown_option(usage, word, length);
    if (row->argument)
        return take_value(usage, row, value, next);
    if (value)
        options_mistake(usage, "option --%s takes no value", row->name);
    store(row, NULL);
    return 1;
}

/* "-o value", "-ovalue", "-fo value": switches before it in the same word */
static int read_letters(const struct usage *usage, const char *word, const char *next) {
    for (const char *letter = word + 1; *letter; letter++) {
        const struct option_row *row = find_letter(usage, *letter);
        if (!row)
            unknown_option(usage, (char[]){'-', *letter, '\0'}, 2);
        if (row->argument)
            return take_value(usage, row, letter[1] ? letter + 1 : NULL, next);
        store(row, NULL);
    }
    return 1;
}

size_t options_read(const struct usage *usage, int argc, char **argv) {
    int words = 0;
    int at = 1;
    while (at < argc) {
        const char *word = argv[at];
        if (strcmp(word, "--") == 0) {
            at++;
            break;
        }
        if (word[0] != '-' || word[1] == '\0') {
            if (usage->stops_at_command)
                break;
            argv[1 + words++] = argv[at++];
            continue;
        }
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
            print_help(usage);
        const char *next = at + 1 < argc ? argv[at + 1] : NULL;
        at += word[1] == '-' ? read_long(usage, word, next) : read_letters(usage, word, next);
    }
    while (at < argc)
        argv[1 + words++] = argv[at++];
    argv[1 + words] = NULL;
    return (size_t)words;
}

bool options_size(const char *text, size_t *bytes) {
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    unsigned shift = 0;
    switch (*end) {
    case 'k':
    case 'K': shift = 10; break;
    case 'm':
    case 'M': shift = 20; break;
    case 'g':
    case 'G': shift = 30; break;
    default: break;
    }
    if (shift)
        end++;
    if (errno || *end || number == 0 || number > (SIZE_MAX >> shift))
        return false;
    *bytes = (size_t)number << shift;
    return true;
}

uint32_t options_number(const struct usage *usage, const char *option, const char *text, uint32_t most) {
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (*end != 0 || text[0] == '-' || number < 1 || number > most)
        options_mistake(usage, "--%s must lie between 1 and %u, not \"%s\"", option, most, text);
    return (uint32_t)number;
}

double options_share(const struct usage *usage, const char *option, const char *text) {
    char *end;
    double share = strtod(text, &end);
    if (*end != 0 || !(share >= 1e-6 && share <= 0.5))
        options_mistake(usage, "--%s must lie between 0.000001 and 0.5, not \"%s\"", option, text);
    return share;
}
