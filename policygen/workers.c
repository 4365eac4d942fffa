/* A pool of threads around one list of jobs under one lock. */
#include "policygen/workers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/util.h"

#define PROGRESS_INTERVAL 50000000 /* ns */

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a job came, the last one ended, or it is time to leave */
    struct job *jobs;
    size_t waiting, running, done;
    bool leaving, progress, shown;
    struct timespec last_shown;
    pthread_t *threads;
    unsigned thread_count;
};

static void show(struct workers *workers, const struct job *job) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long since = (now.tv_sec - workers->last_shown.tv_sec) * 1000000000 + now.tv_nsec - workers->last_shown.tv_nsec;
    if (!workers->progress || (workers->shown && since < PROGRESS_INTERVAL))
        return;
    size_t all = workers->done + workers->running + workers->waiting;
    fprintf(stderr, "\r\033[K%zu/%zu %s %s", workers->done, all, job->doing, job->name);
    workers->last_shown = now;
    workers->shown = true;
}

static void clear_progress(struct workers *workers) {
    if (workers->shown)
        fprintf(stderr, "\r\033[K");
    workers->shown = false;
}

/* With the lock held. */
static struct job take_heaviest(struct workers *workers) {
    size_t best = 0;
    for (size_t i = 1; i < workers->waiting; i++) {
        if (workers->jobs[i].weight > workers->jobs[best].weight)
            best = i;
    }
    struct job job = workers->jobs[best];
    workers->jobs[best] = workers->jobs[--workers->waiting];
    return job;
}

static void run_one(struct workers *workers) {
    struct job job = take_heaviest(workers);
    workers->running++;
    show(workers, &job);
    pthread_mutex_unlock(&workers->lock);
    job.run(job.context, job.subject);
    pthread_mutex_lock(&workers->lock);
    workers->running--;
    workers->done++;
    if (workers->running + workers->waiting == 0)
        pthread_cond_broadcast(&workers->changed);
}

static void *work(void *argument) {
    struct workers *workers = argument;
    pthread_mutex_lock(&workers->lock);
    while (!workers->leaving) {
        if (workers->waiting > 0)
            run_one(workers);
        else
            pthread_cond_wait(&workers->changed, &workers->lock);
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

struct workers *workers_new(unsigned threads, bool progress) {
    struct workers *workers = xcalloc(1, sizeof *workers);
    workers->progress = progress;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->changed, NULL);
    workers->threads = xcalloc(threads + 1, sizeof *workers->threads);
    /* The thread that waits works too. Where there can be no more threads, it does all. */
    while (workers->thread_count + 1 < threads &&
           pthread_create(&workers->threads[workers->thread_count], NULL, work, workers) == 0)
        workers->thread_count++;
    return workers;
}

void workers_free(struct workers *workers) {
    pthread_mutex_lock(&workers->lock);
    workers->leaving = true;
    pthread_cond_broadcast(&workers->changed);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->thread_count; i++)
        pthread_join(workers->threads[i], NULL);
    pthread_cond_destroy(&workers->changed);
    pthread_mutex_destroy(&workers->lock);
    free(workers->threads);
    free(workers->jobs);
    free(workers);
}

void workers_add(struct workers *workers, struct job job) {
    pthread_mutex_lock(&workers->lock);
    *array_append(workers->jobs, workers->waiting) = job;
    pthread_cond_signal(&workers->changed);
    pthread_mutex_unlock(&workers->lock);
}

void workers_wait(struct workers *workers) {
    pthread_mutex_lock(&workers->lock);
    while (workers->waiting + workers->running > 0) {
        if (workers->waiting > 0)
            run_one(workers);
        else
            pthread_cond_wait(&workers->changed, &workers->lock);
    }
    clear_progress(workers);
    pthread_mutex_unlock(&workers->lock);
}
