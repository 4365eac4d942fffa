/* Command lines. One table per verb says which options there are; reading them, the --help text and the hint for a
 * mistyped one all come from it.
 */
#ifndef PINION_TOOLS_OPTIONS_H
#define PINION_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/verb.h"

struct text_list {
    const char **items;
    size_t count;
};

struct option_row {
    const char *name;     /* "policy-dir" */
    char letter;          /* 'o', or 0 */
    const char *argument; /* "DIR", or NULL for a switch */
    const char *help;
    const char **text;      /* exactly one of these three is set: the last value, */
    struct text_list *list; /* all values, */
    bool *flag;             /* or that the switch was given */
};

struct usage {
    const struct verb *verb;
    const char *arguments; /* "[--] COMMAND [ARGUMENT...]" */
    const char *details;   /* paragraphs after the options, or NULL */
    const struct option_row *options;
    size_t option_count;
    bool stops_at_command; /* the first word that is no option begins a command of its own */
};

/* Reads the options and moves the other words to the front of argv, in their order, after argv[0]. Returns how
 * many there are, not counting argv[0]. Exits with the help text for --help, with EXIT_ERROR for a mistake. */
size_t options_read(const struct usage *usage, int argc, char **argv);

/* Ends the program with a message and a pointer to --help. */
_Noreturn void options_mistake(const struct usage *usage, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "512", "64K", "64M", "1G" in bytes; false when it is no such number. */
bool options_size(const char *text, size_t *bytes);

/* A whole number from 1 to `most`, and a share of intervals; a value that is none ends the program with a message. */
uint32_t options_number(const struct usage *usage, const char *option, const char *text, uint32_t most);
double options_share(const struct usage *usage, const char *option, const char *text);

#define OPTION_TEXT(name_, letter_, argument_, target_, help_) \
    { .name = (name_), .letter = (letter_), .argument = (argument_), .help = (help_), .text = (target_) }
#define OPTION_LIST(name_, letter_, argument_, target_, help_) \
    { .name = (name_), .letter = (letter_), .argument = (argument_), .help = (help_), .list = (target_) }
#define OPTION_FLAG(name_, letter_, target_, help_) \
    { .name = (name_), .letter = (letter_), .help = (help_), .flag = (target_) }

#endif
