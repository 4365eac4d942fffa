/* The forms of the texts that a recipe and the helper's configuration hold, and reading them. Names and versions become
 * arguments and paths: each form is a short list of characters that can do no harm there.
 */
#ifndef PINION_TOOLS_PATCH_FORM_H
#define PINION_TOOLS_PATCH_FORM_H

#include "runtime/document.h"
#include "runtime/text.h"

struct form {
    const char *words; /* as a message says it */
    size_t most;       /* bytes, without the NUL */
    bool (*good)(const char *text);
};

extern const struct form form_line;            /* one line for people */
extern const struct form form_argument;        /* of a command */
extern const struct form form_command_line;    /* for a shell */
extern const struct form form_script;          /* several */
extern const struct form form_recipe_name;     /* a file's name as well */
extern const struct form form_cve;             /* "CVE-2014-6271" */
extern const struct form form_debian_package;  /* Debian policy 5.6.7 */
extern const struct form form_debian_version;  /* deb-version(7) */
extern const struct form form_apk_package;     /* Alpine's */
extern const struct form form_apk_version;     /* likewise */
extern const struct form form_package;         /* one of the two */
extern const struct form form_version;         /* likewise */
extern const struct form form_architecture;    /* "amd64" */
extern const struct form form_archive_path;    /* below a source's address: "pool/main/..." */
extern const struct form form_absolute_path;   /* without "..", "." and empty parts */
extern const struct form form_root_path;       /* likewise, or "/" */
extern const struct form form_changeable_path; /* likewise, and where a change would last */
extern const struct form form_url;             /* https, http, file */
extern const struct form form_health_url;      /* https, http */
extern const struct form form_signal;          /* "HUP" */

bool form_matches(const struct form *form, const char *text);

/* Seconds since 1970; false when it is neither "2026-11-22" nor "2026-11-22T10:00:00Z". */
bool date_parse(const char *text, int64_t *seconds);
#define DATE_TEXT_BYTES 32
void date_format(int64_t seconds, char text[DATE_TEXT_BYTES]);

/* ---- reading ---- */

/* Each reads one key of a group, leaves everything as it is where that is not there, and returns false after a mistake.
 * The types of the keys have been checked (text_check_keys). */
bool read_text(struct mistake *mistake, const config_setting_t *group, const char *name, const struct form *form,
               char **text);
bool read_number(struct mistake *mistake, const config_setting_t *group, const char *name, int64_t least, int64_t most,
                 int64_t *number);
bool read_date(struct mistake *mistake, const config_setting_t *group, const char *name, int64_t *seconds);

/* The texts of an array; the list ends with NULL, and is there (empty) even when the key is not. */
bool read_texts(struct mistake *mistake, const config_setting_t *group, const char *name, const struct form *form,
                size_t most, char ***texts);
size_t texts_count(char *const *texts);
void texts_free(char **texts);

/* One of the words, which end with NULL, with the nearest one for an unknown one. */
bool read_word(struct mistake *mistake, const config_setting_t *group, const char *name, const char *const *words,
               unsigned *index);

/* Each element of a list is a group. */
typedef bool group_reader(struct mistake *mistake, const config_setting_t *group, void *context);
bool read_groups(struct mistake *mistake, const config_setting_t *group, const char *name, size_t most,
                 group_reader *reader, void *context);

#endif
