/* Asking the target whether it is well. What answers is the target's own, and may be hostile: answers are read up to a
 * bound and compared, nothing else.
 */
#include "tools/patch/health.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "runtime/text.h"
#include "runtime/util.h"

#define ANSWER_BYTES_MOST 65536
#define ATTEMPT_MILLISECONDS 5000L
#define BETWEEN_MILLISECONDS 20
#define STEADY_MILLISECONDS 200 /* a server that ends when it has read its files is well for less */

struct check {
    const struct recipe *recipe;
    const struct target *target;
    const struct listener *listeners;
    size_t listener_count;
    uint64_t deadline;
};

static unsigned seconds_left(const struct check *check) {
    uint64_t time = clock_nanoseconds(CLOCK_MONOTONIC);
    return time < check->deadline ? (unsigned)((check->deadline - time) / 1000000000u) + 1 : 1;
}

/* ---- a command ---- */

static bool check_command(const struct check *check, char *const *arguments, struct mistake *mistake) {
    struct command command = {.arguments = (const char *const *)arguments, .timeout_seconds = seconds_left(check)};
    struct command_result result;
    bool good = target_run(check->target, &command, &result, mistake);
    command_result_free(&result);
    return good;
}

/* ---- an address on the web ---- */

struct answer {
    char text[ANSWER_BYTES_MOST + 1];
    size_t size;
};

/* What is beyond the bound is left alone. */
static size_t take(const char *data, size_t size, size_t count, void *context) {
    struct answer *answer = context;
    size_t room = ANSWER_BYTES_MOST - answer->size;
    size_t taken = size * count < room ? size * count : room;
    memcpy(answer->text + answer->size, data, taken);
    answer->size += taken;
    return taken;
}

static bool judge_answer(const struct recipe_health *health, const struct answer *answer, long status,
                         struct mistake *mistake) {
    if (status != health->status)
        return text_mistake(mistake, 0, "%s answers with status %ld, not %u", health->url, status, health->status);
    if (health->contains != NULL &&
        memmem(answer->text, answer->size, health->contains, strlen(health->contains)) == NULL)
        return text_mistake(mistake, 0, "\"%s\" is not in the answer of %s", health->contains, health->url);
    return true;
}

static bool fetch(const struct recipe_health *health, struct mistake *mistake) {
    CURL *curl = curl_easy_init();
    if (curl == NULL)
        return text_mistake(mistake, 0, "cannot set up libcurl");
    struct answer *answer = xcalloc(1, sizeof *answer);
    long status = 0;
    curl_easy_setopt(curl, CURLOPT_URL, health->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ATTEMPT_MILLISECONDS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    CURLcode code = curl_easy_perform(curl);
    bool cut = code == CURLE_WRITE_ERROR && answer->size == ANSWER_BYTES_MOST;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    bool good = code == CURLE_OK || cut
                    ? judge_answer(health, answer, status, mistake)
                    : text_mistake(mistake, 0, "%s does not answer: %s", health->url, curl_easy_strerror(code));
    free(answer);
    return good;
}

/* The network namespace of the target's process, or -1 where it is ours. */
static int target_network(const struct target *target) {
    if (target->process == 0)
        return -1;
    cleanup_free char *path = xasprintf("/proc/%d/ns/net", (int)target->process);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static _Noreturn void fetch_in_child(const struct recipe_health *health, int network, int report) {
    struct mistake mistake = {.line = 0};
    bool good =
        network < 0 || setns(network, CLONE_NEWNET) == 0
            ? fetch(health, &mistake)
            : text_mistake(&mistake, 0, "cannot enter the network namespace of the target: %s", strerror(errno));
    ssize_t ignored = good ? 0 : write(report, mistake.text, strlen(mistake.text));
    (void)ignored;
    _exit(good ? 0 : 1);
}

/* In a process of its own: a namespace is entered by whole processes, and what libcurl starts ends with it. */
static bool check_url(const struct check *check, const struct recipe_health *health, struct mistake *mistake) {
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0)
        return text_mistake(mistake, 0, "cannot make a pipe: %s", strerror(errno));
    cleanup_fd int network = target_network(check->target);
    pid_t child = fork();
    if (child == 0)
        fetch_in_child(health, network, report[1]);
    close(report[1]);
    cleanup_fd int report_read = report[0];
    ssize_t got = child > 0 ? read(report_read, mistake->text, sizeof mistake->text - 1) : -1;
    mistake->text[got > 0 ? got : 0] = '\0';
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    return got > 0 ? false : text_mistake(mistake, 0, "cannot ask %s", health->url);
}

/* ---- what was served before ---- */

/* Each answer may take long, and there may be many: all of them together have no more time than the whole check. */
static bool check_serving(const struct check *check, struct mistake *mistake) {
    uint64_t deadline = clock_nanoseconds(CLOCK_MONOTONIC) + check->recipe->timeout * UINT64_C(1000000000);
    for (size_t i = 0; i < check->listener_count; i++) {
        const struct listener *listener = &check->listeners[i];
        if (clock_nanoseconds(CLOCK_MONOTONIC) < deadline && listener_answers(check->target, listener))
            continue;
        if (listener->family == AF_UNIX)
            return text_mistake(mistake, 0, "\"%s\" no longer serves %s", listener->program, listener->address);
        return text_mistake(mistake, 0, "\"%s\" no longer serves %s port %u", listener->program, listener->address,
                            listener->port);
    }
    return true;
}

/* ---- all of them ---- */

static bool check_one(const struct check *check, const struct recipe_health *health, struct mistake *mistake) {
    if (health->command != NULL)
        return check_command(check, health->command, mistake);
    if (health->url != NULL)
        return check_url(check, health, mistake);
    return check_serving(check, mistake);
}

static bool check_all(const struct check *check, struct mistake *mistake) {
    if (check->recipe->health_count == 0)
        return check_serving(check, mistake);
    for (size_t i = 0; i < check->recipe->health_count; i++)
        if (!check_one(check, &check->recipe->health[i], mistake))
            return false;
    return true;
}

bool health_check(const struct recipe *recipe, const struct target *target, const struct listener *listeners,
                  size_t listener_count, uint64_t since, uint64_t *outage, struct mistake *mistake) {
    uint64_t begun = clock_nanoseconds(CLOCK_MONOTONIC);
    bool failed = since != 0; /* at any time */
    struct check check = {recipe, target, listeners, listener_count, begun + recipe->timeout * 1000000000ull};
    uint64_t well = 0; /* since when */
    for (;;) {
        bool good = check_all(&check, mistake);
        uint64_t time = clock_nanoseconds(CLOCK_MONOTONIC);
        well = !good ? 0 : well == 0 ? time : well;
        failed = failed || !good;
        if (outage != NULL)
            *outage = failed ? (good ? well : time) - (since != 0 ? since : begun) : 0;
        if (good && time - well >= STEADY_MILLISECONDS * 1000000ull)
            return true;
        if (!good && time > check.deadline)
            return false;
        poll(NULL, 0, good ? STEADY_MILLISECONDS : BETWEEN_MILLISECONDS);
    }
}
