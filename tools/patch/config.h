/* The helper's configuration: libconfig text, /etc/pinion/patchd.conf unless told otherwise. Strict: a key that is
 * unknown or a file that others may write is a mistake with its line and remedy.
 */
#ifndef PINION_TOOLS_PATCH_CONFIG_H
#define PINION_TOOLS_PATCH_CONFIG_H

#include "tools/patch/recipe.h"

#define CONFIG_PATH "/etc/pinion/patchd.conf"
#define CONFIG_STATE "/var/lib/pinion"

enum patch_mode {
    PATCH_NOTIFY, /* journal and hook only */
    PATCH_ASK,    /* waits for `pinion patch approve ID` */
    PATCH_AUTO,
};

struct config {
    enum patch_mode mode;
    char *socket;     /* default PINION_EVENTS, else EVENT_SOCKET */
    char *state;      /* journal, scratch; ours alone */
    char *recipes;    /* directory */
    char *signatures; /* database, or NULL */
    struct recipe_key *keys;
    size_t key_count;
    char **mirrors;    /* addresses of package archives ("http://deb.debian.org/debian-security"), asked before the
                        * target's own, in our network: for targets without one. Ends with NULL; NULL: none */
    double confidence; /* least of a match, 0.6 */
    char *hook;        /* program, or NULL: gets an incident as JSON on standard input */
    char *metrics;     /* Prometheus text file, or NULL */
    char *vex;         /* directory of OpenVEX documents, or NULL */
    char *policygen;   /* default: beside this command */
    char *policies;    /* directory in the target, /etc/pinion */
    char *root;        /* a directory that is the target of all incidents, "" our own; NULL: that of the sender */
    unsigned events_per_minute; /* of one sender */
    unsigned restarts_per_hour; /* of one program */
    unsigned queue;             /* incidents that may wait; further ones are counted as repeats */
    unsigned step_timeout;      /* seconds for one command */
    unsigned time_limit;        /* seconds for one patch, before it is rolled back */
};

/* Also a mistake: a state directory that others may write in, and a mode that acts without a key that is pinned. */
bool configuration_read(const char *path, struct config *config, struct mistake *mistake);
/* The same without looking at any file or directory. */
bool configuration_parse(const char *text, struct config *config, struct mistake *mistake);
/* Warns of each key that names what is not there, which nobody would miss before it is needed. How many these are. */
unsigned configuration_check(const struct config *config);
void configuration_default(struct config *config); /* without keys nothing is ever applied */
void configuration_free(struct config *config);
/* Makes the state directory (0700) where it is not there yet. */
bool configuration_state(const struct config *config, struct mistake *mistake);
const char *patch_mode_word(enum patch_mode mode);        /* "notify", ... */
char *configuration_journal(const struct config *config); /* its path; the caller frees */
char *configuration_scratch(const struct config *config, int64_t incident);
#define CONFIG_MEMORY \
    "restart-" /* in the state directory: how programs are started again, of each incident under way */
char *configuration_memory(const struct config *config, int64_t incident);
#define CONFIG_RECIPE "recipe-" /* likewise: a copy of the recipe that is applied */
char *configuration_recipe(const struct config *config, int64_t incident);

#endif
