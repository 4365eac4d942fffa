/* Finds out what a path is by looking at it. */
#include "policygen/policies.h"

#include <dirent.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "policygen/survey.h"
#include "runtime/util.h"

static void add_text(struct policies *policies, const char *path) {
    struct document document;
    struct mistake mistake;
    document_init(&document);
    if (!document_read_text(path, &document, &mistake)) {
        if (mistake.line != 0)
            die("cannot read policy \"%s\" line %u: %s", path, mistake.line, mistake.text);
        die("cannot read policy \"%s\": %s", path, mistake.text);
    }
    *array_append(policies->documents, policies->count) = document;
}

/* Programs that are analysed on the spot: those that are named, or all of an image. */
static void add_survey(struct policies *policies, const struct survey_options *options) {
    struct survey survey;
    survey_make(&survey, options);
    for (size_t i = 0; i < survey.loader.subject_count; i++) {
        const struct subject *subject = survey.loader.subjects[i];
        if (subject->problem != NULL) {
            /* The array holds pointers. */
            *array_append(policies->unprotected, policies->unprotected_count) = /* NOLINT(bugprone-sizeof-expression) */
                xstrdup(subject->name);
            continue;
        }
        struct program program;
        loader_program(subject, &program);
        cleanup_free struct coverage *coverage = xcalloc(program.module_count, sizeof *coverage);
        program_link(&program, array_append(policies->documents, policies->count), coverage);
        program_free(&program);
    }
    survey_free(&survey);
}

static void add_programs(struct policies *policies, const char *path, bool is_image,
                         const struct analysis_options *options) {
    char *programs[] = {(char *)path};
    add_survey(policies, &(struct survey_options){.root = is_image ? path : NULL,
                                                  .cache = options->cache,
                                                  .also = options->also,
                                                  .also_count = options->also_count,
                                                  .programs = programs,
                                                  .program_count = is_image ? 0 : 1});
}

static bool is_policy_name(const struct dirent *entry) {
    size_t length = strlen(entry->d_name), end = strlen(".policy");
    return length > end && strcmp(entry->d_name + length - end, ".policy") == 0;
}

static int select_policy(const struct dirent *entry) {
    return is_policy_name(entry);
}

/* Returns whether there is any policy in it. */
static bool add_directory(struct policies *policies, const char *path) {
    struct dirent **entries;
    int count = scandir(path, &entries, select_policy, alphasort);
    if (count < 0)
        die_with_error("cannot read directory \"%s\"", path);
    for (int i = 0; i < count; i++) {
        cleanup_free char *file = xasprintf("%s/%s", path, entries[i]->d_name);
        add_text(policies, file);
        free(entries[i]);
    }
    free(entries);
    return count > 0;
}

static bool is_program(const char *path) {
    unsigned char start[SELFMAG];
    cleanup_file FILE *file = fopen(path, "re");
    if (file == NULL)
        die_with_error("cannot read \"%s\"", path);
    return fread(start, sizeof start, 1, file) == 1 && memcmp(start, ELFMAG, SELFMAG) == 0;
}

static int compare_documents(const void *a, const void *b) {
    const struct document *x = a, *y = b;
    return strcmp(x->program, y->program);
}

void policies_add(struct policies *policies, const char *path, const struct analysis_options *options) {
    struct stat status;
    policies->path = path;
    if (stat(path, &status) != 0)
        die_with_error("cannot read \"%s\"", path);
    if (S_ISDIR(status.st_mode)) {
        if (!add_directory(policies, path))
            add_programs(policies, path, true, options);
        if (policies->count + policies->unprotected_count == 0)
            die("neither a policy (*.policy) nor a program is in directory \"%s\"", path);
    } else if (is_program(path)) {
        add_programs(policies, path, false, options);
    } else {
        add_text(policies, path);
    }
    if (policies->count > 1)
        qsort(policies->documents, policies->count, sizeof *policies->documents, compare_documents);
}

void policies_free(struct policies *policies) {
    for (size_t i = 0; i < policies->count; i++)
        document_free(&policies->documents[i]);
    for (size_t i = 0; i < policies->unprotected_count; i++)
        free(policies->unprotected[i]);
    free(policies->documents);
    free(policies->unprotected);
    *policies = (struct policies){0};
}
