/* Reading the table of advisories. Its texts go into recipes: each has its form, or the table is refused. */
#include "tools/patch/advisories.h"

#include <string.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/form.h"

enum column {
    COLUMN_SOURCE,
    COLUMN_CVE,
    COLUMN_FIXED,
    COLUMN_NAME,
    COLUMNS
};

#define RELEASE_PREFIX "fixed_"

/* The columns of a line, which is cut up; false when there are fewer. */
static bool cut(char *line, char *columns[COLUMNS]) {
    for (unsigned i = 0; i < COLUMNS; i++)
        if ((columns[i] = strsep(&line, "\t")) == NULL)
            return false;
    return true;
}

static bool read_head(char *line, struct advisories *advisories, struct mistake *mistake) {
    char *columns[COLUMNS];
    if (!cut(line, columns) || strcmp(columns[COLUMN_SOURCE], "source") != 0 ||
        strcmp(columns[COLUMN_CVE], "cve") != 0 ||
        strncmp(columns[COLUMN_FIXED], RELEASE_PREFIX, strlen(RELEASE_PREFIX)) != 0)
        return text_mistake(mistake, 1,
                            "no table of advisories: its first line must be "
                            "\"source cve fixed_RELEASE advisory date\", tabs between");
    advisories->release = xstrdup(columns[COLUMN_FIXED] + strlen(RELEASE_PREFIX));
    return true;
}

static bool read_line(char *line, unsigned number, struct advisories *advisories, struct mistake *mistake) {
    char *columns[COLUMNS];
    if (!cut(line, columns) || !form_matches(&form_debian_package, columns[COLUMN_SOURCE]) ||
        !form_matches(&form_cve, columns[COLUMN_CVE]) || !form_matches(&form_debian_version, columns[COLUMN_FIXED]) ||
        !form_matches(&form_argument, columns[COLUMN_NAME]))
        return text_mistake(mistake, number, "not a source package, a CVE, a version and an advisory, tabs between");
    *array_append(advisories->items, advisories->count) =
        (struct advisory){xstrdup(columns[COLUMN_SOURCE]), xstrdup(columns[COLUMN_CVE]), xstrdup(columns[COLUMN_FIXED]),
                          xstrdup(columns[COLUMN_NAME])};
    return true;
}

bool advisories_read(const char *path, struct advisories *advisories, struct mistake *mistake) {
    *advisories = (struct advisories){0};
    *mistake = (struct mistake){0};
    cleanup_free char *text = text_read(path, NULL, NULL, mistake);
    bool good = text != NULL;
    char *rest = text;
    for (unsigned number = 1; good && rest != NULL; number++) {
        char *line = strsep(&rest, "\n");
        if (number == 1)
            good = read_head(line, advisories, mistake);
        else if (*line != '\0')
            good = read_line(line, number, advisories, mistake);
    }
    if (!good)
        advisories_free(advisories);
    return good;
}

void advisories_free(struct advisories *advisories) {
    for (size_t i = 0; i < advisories->count; i++) {
        free(advisories->items[i].source);
        free(advisories->items[i].cve);
        free(advisories->items[i].fixed);
        free(advisories->items[i].name);
    }
    free(advisories->items);
    free(advisories->release);
    *advisories = (struct advisories){0};
}
