/* The stage and the commit, one step a process, so that each can be killed and tried by itself.
 *
 *   stage_trial stage ROOT SCRATCH COMMAND...   runs a command in a stage, and leaves its upper layer in SCRATCH
 *   stage_trial online ROOT SCRATCH COMMAND...  likewise, with network
 *   stage_trial list ROOT SCRATCH               what was changed, one a line
 *   stage_trial commit ROOT SCRATCH             brings it into ROOT
 *   stage_trial undo|keep|pending ROOT
 *   stage_trial run ROOT COMMAND...             in the target itself
 *   stage_trial digest ROOT [loose|single]      every object below ROOT with all that belongs to it, one a line; loose:
 *                                               without the times of directories; single: without what has two names
 *
 * ROOT is a directory, or the number of a process whose root it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/sha256.h"
#include "runtime/util.h"
#include "tools/patch/commit.h"
#include "tools/patch/node.h"

#define INCIDENT 7

static struct target target;
static struct mistake mistake;

static int failed(void) {
    fprintf(stderr, "%s\n", mistake.text);
    return 1;
}

/* ---- staging ---- */

static int stage_command(const char *scratch, char **arguments, enum stage_network network) {
    struct stage stage;
    struct command_result result;
    if (!stage_open(&stage, &target, scratch, INCIDENT, &mistake))
        return failed();
    const struct command command = {.arguments = (const char *const *)arguments, .timeout_seconds = 60};
    bool good = stage_run(&stage, &command, network, &result, &mistake);
    fputs(result.output, stdout);
    command_result_free(&result);
    return good ? 0 : failed(); /* no stage_close: the upper layer stays */
}

static int run(char **arguments) {
    struct command_result result;
    const struct command command = {.arguments = (const char *const *)arguments, .timeout_seconds = 60};
    bool good = target_run(&target, &command, &result, &mistake);
    fputs(result.output, stdout);
    command_result_free(&result);
    return good ? 0 : failed();
}

static struct stage left_stage(const char *scratch) {
    return (struct stage){.target = &target, .upper = xasprintf("%s/upper", scratch), .root = -1, .incident = INCIDENT};
}

static int list(const char *scratch) {
    static const char *const words[] = {"create", "replace", "remove", "metadata"};
    struct stage stage = left_stage(scratch);
    struct changes changes;
    if (!changes_read(&changes, &stage, &mistake))
        return failed();
    for (size_t i = 0; i < changes.count; i++)
        printf("%s %s\n", words[changes.items[i].kind], changes.items[i].path);
    changes_free(&changes);
    free(stage.upper);
    return 0;
}

static int commit(const char *scratch) {
    struct stage stage = left_stage(scratch);
    struct changes changes;
    if (!changes_read(&changes, &stage, &mistake))
        return failed();
    bool good = commit_make(&changes, &stage, NULL, &mistake);
    changes_free(&changes);
    free(stage.upper);
    return good ? 0 : failed();
}

/* ---- digests ---- */

static void print_hex(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        printf("%02x", bytes[i]);
}

static void print_content(int directory, const char *name, const struct stat *status) {
    char text[65536];
    if (S_ISLNK(status->st_mode)) {
        ssize_t length = readlinkat(directory, name, text, sizeof text);
        printf(" -> %.*s", (int)length, text);
    } else if (S_ISREG(status->st_mode)) {
        cleanup_fd int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME);
        struct sha256 hash;
        uint8_t digest[SHA256_BYTES];
        sha256_begin(&hash);
        for (ssize_t got; (got = read(fd, text, sizeof text)) > 0;)
            sha256_add(&hash, text, (size_t)got);
        sha256_end(&hash, digest);
        printf(" %jd ", (intmax_t)status->st_size);
        print_hex(digest, sizeof digest);
    } else if (!S_ISDIR(status->st_mode)) {
        printf(" device %jx", (uintmax_t)status->st_rdev);
    }
}

static void print_attributes(int directory, const char *name) {
    cleanup_fd int fd = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct attributes attributes;
    if (!attributes_read(fd, &attributes))
        die_with_error("cannot read the attributes of %s", name);
    for (size_t i = 0; i < attributes.count; i++) {
        printf(" %s=", attributes.items[i].name);
        print_hex(attributes.items[i].value, attributes.items[i].size);
    }
    attributes_free(&attributes);
}

/* Files with several names are told by the first of them. */
static struct {
    ino_t inode;
    char *path;
} * known;
static size_t known_count;

static void print_first_name(const struct stat *status, const char *path) {
    if (S_ISDIR(status->st_mode))
        return;
    for (size_t i = 0; i < known_count; i++)
        if (known[i].inode == status->st_ino)
            printf(" is %s", known[i].path);
    *array_append(known, known_count) = (__typeof__(*known)){status->st_ino, xstrdup(path)};
}

static bool loose, single;

static void digest(int directory, const char *prefix) {
    char **names = node_names(directory);
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        struct stat status;
        cleanup_free char *path = xasprintf("%s/%s", prefix, names[i]);
        /* Between making a directory there and setting the time back, a kill shows in that time. */
        if (fstatat(directory, names[i], &status, AT_SYMLINK_NOFOLLOW) != 0)
            die_with_error("cannot look at %s", path);
        bool timed = !(S_ISDIR(status.st_mode) && (loose || strcmp(path, "/var/lib") == 0));
        printf("%s %o %u:%u", path, status.st_mode, status.st_uid, status.st_gid);
        if (timed)
            printf(" %jd.%09ld", (intmax_t)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
        print_content(directory, names[i], &status);
        print_attributes(directory, names[i]);
        if (!single)
            print_first_name(&status, path);
        putchar('\n');
        cleanup_fd int below = S_ISDIR(status.st_mode) ? openat(directory, names[i], O_RDONLY | O_DIRECTORY) : -1;
        if (below >= 0)
            digest(below, path);
    }
    node_names_free(names);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: stage_trial stage|list|commit|undo|keep|pending|digest ROOT [SCRATCH] [COMMAND...]\n");
        return 2;
    }
    const char *verb = argv[1];
    loose = strcmp(argv[argc - 1], "loose") == 0;
    single = strcmp(argv[argc - 1], "single") == 0;
    pid_t process = (pid_t)strtol(argv[2], NULL, 10);
    if (!(process > 0 ? target_of_process(&target, process, &mistake)
                      : target_of_directory(&target, argv[2], &mistake)))
        return failed();
    if (strcmp(verb, "undo") == 0)
        return commit_undo(&target, INCIDENT, &mistake) ? 0 : failed();
    if (strcmp(verb, "keep") == 0)
        return commit_keep(&target, INCIDENT, &mistake) ? 0 : failed();
    if (strcmp(verb, "pending") == 0)
        return commit_is_under_way(&target, INCIDENT) ? 0 : 3;
    if (strcmp(verb, "digest") == 0)
        return digest(target.descriptor, ""), 0;
    if (argc < 4)
        return 2;
    if (strcmp(verb, "run") == 0)
        return run(argv + 3);
    if (strcmp(verb, "list") == 0)
        return list(argv[3]);
    if (strcmp(verb, "commit") == 0)
        return commit(argv[3]);
    return argc > 4 ? stage_command(argv[3], argv + 4, strcmp(verb, "online") == 0 ? STAGE_ONLINE : STAGE_OFFLINE) : 2;
}
