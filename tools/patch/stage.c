/* Making and removing a stage. Its files are reached by descriptors, as the target's are: what a maintainer script has
 * put there may lead anywhere.
 */
#include "tools/patch/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/node.h"
#include "tools/patch/proc.h"
#include "tools/patch/stage_run.h"

/* ---- whether it can be made ---- */

static bool has_capability(int number) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];
    return syscall(SYS_capget, &header, sets) == 0 && (sets[number / 32].effective >> (number % 32) & 1) != 0;
}

static bool kernel_has_overlay(void) {
    char line[128];
    cleanup_file FILE *list = fopen("/proc/filesystems", "re");
    while (list != NULL && fgets(line, sizeof line, list) != NULL)
        if (strcmp(line, "nodev\toverlay\n") == 0)
            return true;
    return false;
}

/* The mount loads the module; where that may not be done, the list above has told the truth. */
static bool overlay_can_be_loaded(void) {
    cleanup_fd int context = fsopen("overlay", FSOPEN_CLOEXEC);
    return context >= 0;
}

/* The nearest directory above, or at, a path that exists. */
static int open_existing(const char *path) {
    cleanup_free char *above = xstrdup(path);
    for (;;) {
        int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        char *slash = strrchr(above, '/');
        if (fd >= 0 || slash == NULL || strcmp(above, "/") == 0)
            return fd;
        slash[slash == above ? 1 : 0] = '\0';
    }
}

static char *scratch_problem(const char *scratch) {
    cleanup_fd int directory = open_existing(scratch);
    struct statfs system;
    if (directory < 0 || fstatfs(directory, &system) != 0)
        return xasprintf("the directory \"%s\" cannot be used: %s", scratch, strerror(errno));
    if (system.f_type == OVERLAYFS_SUPER_MAGIC)
        return xasprintf("\"%s\" is on an overlay file system, where no stage can be made; put it on a volume: set "
                         "\"state\" in the configuration to a directory of one",
                         scratch);
    cleanup_fd int trial = openat(directory, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (trial < 0 || fsetxattr(trial, "trusted.overlay.opaque", "y", 1, 0) != 0)
        return xasprintf("the file system of \"%s\" is not fit for a stage (%s); set \"state\" in the configuration to "
                         "a directory on ext4, xfs, btrfs or tmpfs",
                         scratch, strerror(errno));
    return NULL;
}

/* What packages install to; a stage sees only the file system of the root itself. */
static const char *const system_directories[] = {"bin",
                                                 "etc",
                                                 "lib",
                                                 "lib64",
                                                 "sbin",
                                                 "usr",
                                                 "usr/bin",
                                                 "usr/lib",
                                                 "usr/sbin",
                                                 "usr/share",
                                                 "usr/lib/x86_64-linux-gnu",
                                                 "opt",
                                                 "var",
                                                 "var/lib",
                                                 "var/lib/dpkg",
                                                 "var/lib/dpkg/info",
                                                 "lib/apk",
                                                 "lib/apk/db"};

static char *mount_problem(const struct target *target) {
    for (size_t i = 0; i < sizeof system_directories / sizeof *system_directories; i++) {
        struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_XDEV};
        cleanup_fd int fd = (int)syscall(SYS_openat2, target->descriptor, system_directories[i], &how, sizeof how);
        if (fd < 0 && errno == EXDEV)
            return xasprintf("\"%s/%s\" is on a mount of its own: a patch can only be staged where the whole system is "
                             "on one file system",
                             target->root, system_directories[i]);
    }
    struct statvfs system;
    if (fstatvfs(target->descriptor, &system) == 0 && (system.f_flag & ST_RDONLY) != 0)
        return xasprintf("the root file system \"%s/\" is mounted read-only: patch the image it is started from, or "
                         "start the container with a writable root",
                         target->root);
    return NULL;
}

char *stage_problem(const struct target *target, const char *scratch) {
    if (geteuid() != 0 || !has_capability(CAP_SYS_ADMIN))
        return xstrdup("a stage needs root with CAP_SYS_ADMIN; run the helper on the host, or start its container with "
                       "--cap-add SYS_ADMIN");
    if (!kernel_has_overlay() && !overlay_can_be_loaded())
        return xstrdup("this kernel has no overlay file system; load it: modprobe overlay");
    if (target->process != 0 && !process_shares(target->process, PROCESS_OURS, "ns/user"))
        return xasprintf("process %d is in a user namespace of its own; run the helper inside that namespace",
                         target->process);
    char *problem = mount_problem(target);
    return problem != NULL ? problem : scratch_problem(scratch);
}

/* ---- the target's tree ---- */

/* In a child that shares our descriptors: goes to the mount namespace of the target, and takes a copy of its root's
 * mount. The number of the descriptor comes back through the pipe. */
static _Noreturn void clone_in_namespace(const struct target *target, int answer) {
    int result = -1;
    if (setns(target->mounts, CLONE_NEWNS) == 0)
        result = open_tree(target->descriptor, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (result < 0)
        result = -errno;
    ssize_t ignored = write(answer, &result, sizeof result);
    (void)ignored;
    _exit(0);
}

/* A mount of the target's root file system alone, not yet anywhere. */
static int clone_root(const struct target *target) {
    int answer[2], result = -EIO;
    if (pipe2(answer, O_CLOEXEC) != 0)
        return -1;
    cleanup_fd int from = answer[0], to = answer[1];
    pid_t child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0)
        clone_in_namespace(target, to);
    if (child < 0)
        return -1;
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
    close(steal_fd(&to));
    if (read(from, &result, sizeof result) != sizeof result)
        result = -EIO;
    errno = result < 0 ? -result : 0;
    return result < 0 ? -1 : result;
}

/* ---- making it ---- */

static bool make_directories(const char *path) {
    cleanup_free char *part = xstrdup(path);
    for (char *slash = part; (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
        *slash = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return false;
    }
    return mkdir(part, 0700) == 0 || errno == EEXIST;
}

static bool is_ours_alone(const char *path) {
    struct stat status;
    if (lstat(path, &status) != 0)
        return false;
    errno = EPERM;
    return S_ISDIR(status.st_mode) && status.st_uid == geteuid() && (status.st_mode & 022) == 0;
}

static const char *const parts[] = {"root", "upper", "work", "merged", "files", "tools", "empty"};

static bool make_parts(const char *scratch, struct mistake *mistake) {
    if (!stage_remove_left(scratch, mistake))
        return false;
    bool good = make_directories(scratch) && is_ours_alone(scratch);
    for (size_t i = 0; i < sizeof parts / sizeof *parts && good; i++) {
        cleanup_free char *path = xasprintf("%s/%s", scratch, parts[i]);
        good = mkdir(path, 0755) == 0;
    }
    return good || text_mistake(mistake, 0, "cannot make the directory \"%s\": %s", scratch, strerror(errno));
}

/* The root directory of an overlay is its upper layer's. */
static bool take_root_mode(const struct stage *stage, struct mistake *mistake) {
    struct stat root;
    if (fstat(stage->target->descriptor, &root) == 0 && chown(stage->upper, root.st_uid, root.st_gid) == 0 &&
        chmod(stage->upper, root.st_mode & 07777) == 0)
        return true;
    return text_mistake(mistake, 0, "cannot give \"%s\" the mode of the target's root: %s", stage->upper,
                        strerror(errno));
}

static int open_part(const char *scratch, const char *part) {
    cleanup_free char *path = xasprintf("%s/%s", scratch, part);
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* The layers are named by descriptors: a path could hold commas and colons. Nothing that overlayfs writes has to
 * survive a crash: a stage that was cut short is thrown away. */
static bool mount_overlay(const char *scratch, const char *merged) {
    cleanup_fd int lower = open_part(scratch, "root"), upper = open_part(scratch, "upper");
    cleanup_fd int work = open_part(scratch, "work");
    static const char *const endings[] = {",volatile", ""};
    for (size_t i = 0; i < 2; i++) {
        cleanup_free char *options =
            xasprintf("lowerdir=/proc/self/fd/%d,upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d,redirect_dir=off,"
                      "metacopy=off,index=off,xino=off%s",
                      lower, upper, work, endings[i]);
        if (mount("pinion", merged, "overlay", MS_NODEV, options) == 0)
            return true;
    }
    return false;
}

/* Once for each process: leaving the first stage's namespace for another would unmount what is in it. */
static bool enter_namespace(void) {
    static pid_t inside;
    if (inside == getpid())
        return true;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return false;
    inside = getpid();
    return true;
}

static bool mount_layers(struct stage *stage, int tree, struct mistake *mistake) {
    if (!enter_namespace())
        return text_mistake(mistake, 0, "cannot make a mount namespace: %s", strerror(errno));
    cleanup_free char *lower = xasprintf("%s/root", stage->scratch);
    if (move_mount(tree, "", AT_FDCWD, lower, MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return text_mistake(mistake, 0, "cannot mount the target's root at \"%s\": %s", lower, strerror(errno));
    if (!mount_overlay(stage->scratch, stage->merged))
        return text_mistake(mistake, 0, "cannot mount an overlay over the target's root at \"%s\": %s", stage->merged,
                            strerror(errno));
    stage->root = open(stage->merged, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return stage->root >= 0 || text_mistake(mistake, 0, "cannot open \"%s\": %s", stage->merged, strerror(errno));
}

/* STAGE_WORK is a mount as well, so that nothing in it is ever in the upper layer. */
static bool mount_work(const struct stage *stage, struct mistake *mistake) {
    cleanup_free char *path = xstrdup(STAGE_WORK);
    for (char *slash = path; slash != NULL;) {
        slash = strchr(slash + 1, '/');
        if (slash != NULL)
            *slash = '\0';
        const char *name;
        cleanup_fd int parent = root_parent(stage->root, path, &name);
        if (parent < 0 || (mkdirat(parent, name, 0755) != 0 && errno != EEXIST))
            return text_mistake(mistake, 0, "cannot make \"%s\" in the stage: %s", path, strerror(errno));
        if (slash != NULL)
            *slash = '/';
    }
    const char *name;
    cleanup_fd int parent = root_parent(stage->root, STAGE_WORK, &name);
    cleanup_fd int point = parent >= 0 ? openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    cleanup_fd int files = open_part(stage->scratch, "files");
    cleanup_fd int tree = open_tree(files, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (point < 0 || tree < 0 ||
        move_mount(tree, "", point, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        return text_mistake(mistake, 0, "cannot mount \"%s\" in the stage: %s", STAGE_WORK, strerror(errno));
    return true;
}

static bool make_stage(struct stage *stage, const char *scratch, struct mistake *mistake) {
    if (!make_parts(scratch, mistake))
        return false;
    stage->scratch = realpath(scratch, NULL);
    if (stage->scratch == NULL)
        return text_mistake(mistake, 0, "cannot find \"%s\": %s", scratch, strerror(errno));
    stage->upper = xasprintf("%s/upper", stage->scratch);
    stage->merged = xasprintf("%s/merged", stage->scratch);
    cleanup_fd int tree = clone_root(stage->target);
    if (tree < 0)
        return text_mistake(mistake, 0, "cannot copy the mount of \"%s/\": %s", stage->target->root, strerror(errno));
    return take_root_mode(stage, mistake) && mount_layers(stage, tree, mistake) && mount_work(stage, mistake) &&
           stage_prepare_tools(stage, mistake);
}

bool stage_open(struct stage *stage, const struct target *target, const char *scratch, int64_t incident,
                struct mistake *mistake) {
    *stage = (struct stage){.target = target, .root = -1, .incident = incident};
    cleanup_free char *problem = stage_problem(target, scratch);
    if (problem != NULL)
        return text_mistake(mistake, 0, "%s", problem);
    /* Users other than root go through what is made here. */
    mode_t mask = umask(022);
    bool good = make_stage(stage, scratch, mistake);
    umask(mask);
    if (!good)
        stage_close(stage);
    return good;
}

/* ---- removing it ---- */

void stage_close(struct stage *stage) {
    if (stage->scratch == NULL)
        return;
    if (stage->root >= 0)
        close(stage->root);
    cleanup_free char *lower = xasprintf("%s/root", stage->scratch);
    umount2(stage->merged, MNT_DETACH | UMOUNT_NOFOLLOW);
    umount2(lower, MNT_DETACH | UMOUNT_NOFOLLOW);
    struct mistake mistake;
    if (!stage_remove_left(stage->scratch, &mistake))
        warn("%s", mistake.text);
    free(stage->scratch);
    free(stage->upper);
    free(stage->merged);
    *stage = (struct stage){.root = -1};
}

bool stage_remove_left(const char *scratch, struct mistake *mistake) {
    cleanup_free char *above = xstrdup(scratch);
    char *slash = strrchr(above, '/');
    if (slash == NULL || slash[1] == '\0')
        return text_mistake(mistake, 0, "\"%s\" is no place for a stage: give an absolute path", scratch);
    *slash = '\0';
    cleanup_fd int directory = open(slash == above ? "/" : above, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0 && errno == ENOENT)
        return true;
    if (directory < 0 || !node_remove(directory, slash + 1))
        return text_mistake(mistake, 0, "cannot remove \"%s\": %s%s", scratch, strerror(errno),
                            errno == EXDEV || errno == EBUSY ? "; something is mounted in it: unmount that first" : "");
    return true;
}

/* ---- files in it ---- */

char *stage_path(const struct stage *stage, const char *path) {
    return xasprintf("%s%s%s", stage->merged, path[0] == '/' ? "" : "/", path);
}

int stage_openat(const struct stage *stage, const char *path, int flags, mode_t mode) {
    return root_openat(stage->root, path, flags, mode);
}
