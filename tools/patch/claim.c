/* Holding an event against /proc. Everything there may vanish while it is read; then the claim is not good. */
#include "tools/patch/claim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/evidence.h"
#include "tools/object.h"

/* Real, effective, saved: the kernel's word is any of them, for a sender may choose among its own. */
static bool has_user(const char *status, uid_t user) {
    char *users = (char *)(uintptr_t)process_status(status, "\nUid:");
    for (int i = 0; i < 3; i++)
        if (strtoul(users, &users, 10) == user)
            return true;
    return false;
}

static bool signature_holds(const struct event *event) {
    char *names[SIGNATURE_TOP_MOST];
    uint8_t digest[SHA256_BYTES];
    for (unsigned i = 0; i < event->top_count; i++)
        names[i] = (char *)(uintptr_t)event->top[i];
    digest_of(names, event->top_count, digest);
    return memcmp(digest, event->signature, sizeof digest) == 0;
}

static bool is_program(int descriptor, const struct event *event) {
    struct identity program;
    return descriptor >= 0 && identity_of_descriptor(descriptor, &program) && identity_equal(&program, &event->program);
}

/* A call that starts another program may be the one that closes an interval: then its event is told by a process that
 * runs that other program by now. The program that it tells of has to be there, in the sender's root. */
static bool has_executed_since(const struct incident *incident) {
    cleanup_free char *path = xasprintf("/proc/%d/root", (int)incident->sender);
    cleanup_fd int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    cleanup_fd int file = root >= 0 ? root_openat(root, incident->event.path, O_RDONLY | O_CLOEXEC, 0) : -1;
    return incident->event.flags & EVENT_ANOMALY && is_program(file, &incident->event);
}

/* NULL when nothing contradicts the event; `gone` when the process cannot be looked at any more. */
static const char *contradiction(const struct incident *incident, bool *gone) {
    const struct event *event = &incident->event;
    cleanup_free char *status = process_text(incident->sender, "status");
    cleanup_free char *executable = xasprintf("/proc/%d/exe", (int)incident->sender);
    *gone = status == NULL;
    if (status == NULL)
        return "the sender ended before it could be looked at";
    if (process_inner(status) <= 0 || (uint32_t)process_inner(status) != event->pid)
        return "the sender is not the process it says it is";
    if (!has_user(status, incident->sender_user))
        return "the sender is not of the user it says it is";
    cleanup_fd int program = open(executable, O_RDONLY | O_CLOEXEC);
    *gone = program < 0;
    if (*gone)
        return "the sender ended before its program could be looked at";
    if (!is_program(program, event) && !has_executed_since(incident))
        return "the sender runs another program than it says";
    if (event->flags & EVENT_ANOMALY && !signature_holds(event))
        return "the signature is not that of the calls";
    return NULL;
}

static void judge(struct incident *incident, enum claim claim, const char *detail) {
    incident->claim = claim;
    free(incident->claim_detail);
    incident->claim_detail = detail != NULL ? xstrdup(detail) : NULL;
}

void claim_check(struct incident *incident, const struct ucred *sender) {
    uint64_t start;
    bool gone = false;
    incident->sender = sender->pid;
    incident->sender_user = sender->uid;
    /* A process of a number that the kernel cannot express in our namespace is reported as 0. */
    if (sender->pid <= 0) {
        judge(incident, CLAIM_FALSE, "the sender is outside this process namespace: share it with the helper");
        return;
    }
    if (!process_start(sender->pid, &incident->sender_start)) {
        judge(incident, CLAIM_GONE, "the sender ended before it could be looked at");
        return;
    }
    const char *problem = contradiction(incident, &gone);
    /* The number may have been given to another process while we looked. */
    if (problem == NULL && (!process_start(sender->pid, &start) || start != incident->sender_start)) {
        problem = "the sender ended before it could be looked at";
        gone = true;
    }
    judge(incident, problem == NULL ? CLAIM_GOOD : gone ? CLAIM_GONE : CLAIM_FALSE, problem);
}

/* ---- the target ---- */

/* A service manager gives its services mount namespaces, in which less can be written or seen: with the same root directory
 * as the first process they are of the same system, which only that one sees as it is. */
static bool has_system_of(pid_t process, pid_t other) {
    cleanup_free char *status = process_shares(process, other, "root") ? process_text(other, "status") : NULL;
    return status != NULL && process_inner(status) == 1;
}

/* A container is its mount namespace, and is named by the process that has been there longest. Its programs may change
 * their root once more, or leave their parents: they would be as many targets as they like, each with its own first
 * attempt. A process that came in from outside, with more power, came later. */
static pid_t first_there(pid_t process) {
    uint64_t oldest, start;
    DIR *directory = opendir("/proc");
    pid_t first = process_start(process, &oldest) ? process : 0;
    for (struct dirent *entry; first != 0 && directory != NULL && (entry = readdir(directory)) != NULL;) {
        pid_t each = (pid_t)strtol(entry->d_name, NULL, 10);
        if (each <= 0 || !process_shares(each, process, "ns/pid") ||
            (!process_shares(each, process, "ns/mnt") && !has_system_of(process, each)) ||
            !process_start(each, &start) || start > oldest || (start == oldest && each > first))
            continue;
        first = each;
        oldest = start;
    }
    if (directory != NULL)
        closedir(directory);
    return first;
}

/* In a user namespace of its own root is nobody, and may have made the file system that we would work on as root. A service
 * that has one is of the system whose root directory it has. */
static bool is_foreign(pid_t process) {
    return !process_shares(process, PROCESS_OURS, "ns/user");
}

/* Whose numbers of processes are others than ours is entered, or its scripts would signal our processes by them. */
static bool is_among_us(pid_t process) {
    return process_shares(process, PROCESS_OURS, "ns/mnt") && process_shares(process, PROCESS_OURS, "ns/pid");
}

/* The sender's number may have been given to a process of another container while we looked. */
static bool is_same(const struct incident *incident) {
    uint64_t start;
    return process_start(incident->sender, &start) && (incident->sender_start == 0 || incident->sender_start == start);
}

bool claim_target(struct incident *incident) {
    char root[PATH_MAX];
    pid_t first = first_there(incident->sender);
    if (is_foreign(first) || (is_foreign(incident->sender) && !process_shares(incident->sender, first, "root")))
        return false;
    pid_t seen_by = is_among_us(incident->sender) ? incident->sender : first;
    cleanup_free char *link = xasprintf("/proc/%d/root", (int)seen_by);
    ssize_t length = readlink(link, root, sizeof root - 1);
    if (length < 0)
        return false;
    root[length] = '\0';
    free(incident->root);
    if (is_among_us(seen_by)) {
        incident->root = xstrdup(process_shares(seen_by, PROCESS_OURS, "root") ? "" : root);
        return is_same(incident);
    }
    incident->target = first;
    incident->root = xasprintf("/proc/%d/root", (int)incident->target);
    return process_start(incident->target, &incident->target_start) && is_same(incident);
}

/* The start is looked at when the process is held by a descriptor: before, its number could become another's. */
static bool open_container(const struct incident *incident, struct target *target, struct mistake *mistake) {
    uint64_t start;
    bool opened = target_of_process(target, incident->target, mistake);
    if (process_start(incident->target, &start) && start == incident->target_start)
        return opened;
    if (opened)
        target_close(target);
    return text_mistake(mistake, 0, "the container is gone: its first process, %d, ended", (int)incident->target);
}

bool claim_open_target(const struct incident *incident, struct target *target, struct mistake *mistake) {
    if (incident->root == NULL)
        return text_mistake(mistake, 0, "which container it was is not known: apply the recipe with --root or --pid");
    return incident->target == 0 ? target_of_directory(target, incident->root, mistake)
                                 : open_container(incident, target, mistake);
}
