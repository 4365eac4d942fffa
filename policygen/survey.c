/* Puts root, cache, threads and loader together. */
#include "policygen/survey.h"

#include <sys/sysinfo.h>
#include <unistd.h>

/* What the loader cannot use joins what is no program at all. */
static void find_all(struct survey *survey) {
    const struct loader *loader = &survey->loader;
    image_find(&survey->image, &survey->loader);
    for (size_t i = 0; i < loader->subject_count; i++) {
        if (loader->subjects[i]->problem != NULL)
            image_add(&survey->image, loader->subjects[i]->name, loader->subjects[i]->problem);
    }
    image_sort(&survey->image);
}

void survey_make(struct survey *survey, const struct survey_options *options) {
    *survey = (struct survey){0};
    root_open(&survey->root, options->root == NULL ? "/" : options->root);
    if (options->cache != NULL)
        cache_open(&survey->cache, options->cache);
    unsigned jobs = options->jobs == 0 ? (unsigned)get_nprocs() : options->jobs;
    survey->workers = workers_new(jobs, isatty(STDERR_FILENO) != 0);
    loader_init(&survey->loader, &survey->root, survey->workers, options->cache == NULL ? NULL : &survey->cache);
    survey->loader.also = options->also;
    survey->loader.also_count = options->also_count;
    for (size_t i = 0; i < options->program_count; i++)
        loader_add(&survey->loader, options->programs[i]);
    if (options->program_count == 0)
        find_all(survey);
    loader_finish(&survey->loader);
}

void survey_free(struct survey *survey) {
    loader_free(&survey->loader);
    workers_free(survey->workers);
    image_free(&survey->image);
    root_close(&survey->root);
}
