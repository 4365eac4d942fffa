/* A tree with everything a file system can hold, and a change of each kind to it: what a maintainer script could do.
 *
 *   change_tree make      makes the tree at /
 *   change_tree change    changes it
 *   change_tree wait ROOT makes that the root directory and waits, as a container's first process
 *   change_tree show FILE...  prints what they hold
 *   change_tree self      prints its number, and whether it could have CAP_SYS_ADMIN and CAP_MKNOD
 *
 * Runs in the root directory of the tree (chroot or stage), and so is linked statically. Every file it writes gets a time
 * of its own, so that two runs make the same tree.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static void need(int result, const char *path) {
    if (result < 0) {
        fprintf(stderr, "change_tree: %s: %s\n", path, strerror(errno));
        exit(1);
    }
}

static void set_time(const char *path) {
    static long seconds = 1700000000;
    struct timespec times[2] = {{.tv_sec = seconds, .tv_nsec = 5}, {.tv_sec = seconds, .tv_nsec = 123456789}};
    seconds += 7;
    need(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), path);
}

static void make_file(const char *path, mode_t mode, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    need(fd, path);
    need((int)write(fd, text, strlen(text)), path);
    need(fchmod(fd, mode), path);
    close(fd);
    set_time(path);
}

/* Written beside it and renamed over it, as dpkg does. */
static void replace_file(const char *path, mode_t mode, const char *text) {
    char fresh[4096];
    snprintf(fresh, sizeof fresh, "%s.dpkg-new", path);
    make_file(fresh, mode, text);
    need(rename(fresh, path), path);
}

static void make_directory(const char *path, mode_t mode) {
    need(mkdir(path, 0700), path);
    need(chmod(path, mode), path);
}

static void make_link(const char *to, const char *path) {
    need(symlink(to, path), path);
    set_time(path);
}

static void own(const char *path, uid_t user, gid_t group) {
    need(lchown(path, user, group), path);
}

static void attribute(const char *path, const char *name, const char *value) {
    need(lsetxattr(path, name, value, strlen(value), 0), path);
}

/* cap_net_bind_service=ep, as setcap writes it. */
static void capability(const char *path, uint8_t bits) {
    const uint8_t value[20] = {0x01, 0, 0, 0x02, 0, bits};
    need(lsetxattr(path, "security.capability", value, sizeof value, 0), path);
}

static void sparse(const char *path, off_t data) {
    make_file(path, 0600, "begin");
    int fd = open(path, O_WRONLY);
    need(fd, path);
    need((int)pwrite(fd, "middle", 6, data), path);
    need(ftruncate(fd, data * 3), path);
    close(fd);
    set_time(path);
}

static const char *huge_name(const char *directory, char letter) {
    static char path[512];
    size_t length = (size_t)snprintf(path, sizeof path, "%s/", directory);
    memset(path + length, letter, 255);
    path[length + 255] = '\0';
    return path;
}

static void make(void) {
    static const char *const directories[] = {
        "/usr", "/usr/bin", "/usr/lib", "/usr/lib/old",  "/usr/lib/old/deep", "/usr/share", "/usr/share/doc",
        "/etc", "/var",     "/var/lib", "/var/lib/dpkg", "/etc/opaque",       "/usr/sbin",  "/etc/alternatives"};
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
        make_directory(directories[i], 0755);
    make_file("/usr/lib/libone.so.1.0", 0644, "library one, version 1\n");
    make_link("libone.so.1.0", "/usr/lib/libone.so.1");
    make_file("/usr/bin/program", 0755, "program 1\n");
    make_file("/usr/bin/mighty", 04755, "set-user-ID 1\n");
    make_file("/usr/bin/capable", 0755, "capable 1\n");
    capability("/usr/bin/capable", 0x04);
    make_file("/usr/bin/perl", 0755, "one of two names\n");
    need(link("/usr/bin/perl", "/usr/bin/perl5"), "/usr/bin/perl5");
    make_file("/usr/bin/lone", 0755, "one of two names, the other stays\n");
    need(link("/usr/bin/lone", "/usr/bin/lone-other"), "/usr/bin/lone-other");
    make_file("/etc/owned", 0640, "owned\n");
    own("/etc/owned", 1001, 1002);
    attribute("/etc/owned", "user.note", "before");
    make_file("/etc/attributes", 0644, "attributes\n");
    attribute("/etc/attributes", "user.goes", "1");
    attribute("/etc/attributes", "user.changes", "1");
    attribute("/etc/attributes", "trusted.stays", "1");
    make_file("/etc/mode", 0644, "mode\n");
    make_file("/etc/time", 0644, "time\n");
    make_file("/etc/same", 0644, "the same after all\n");
    make_file("/etc/opened", 0644, "only opened for writing\n");
    make_file("/usr/lib/old/a", 0644, "a\n");
    make_file("/usr/lib/old/deep/b", 0600, "b\n");
    make_link("nowhere", "/usr/lib/old/deep/dangling");
    make_directory("/usr/lib/old/empty", 0711);
    make_directory("/usr/share/doc/dir-to-link", 02775);
    attribute("/usr/share/doc/dir-to-link", "user.kept", "of the directory");
    own("/usr/share/doc/dir-to-link", 1, 2);
    make_file("/usr/share/doc/dir-to-link/copyright", 0644, "copyright\n");
    make_link("other-doc", "/usr/share/doc/link-to-dir");
    make_file("/usr/share/doc/file-to-dir", 0644, "file\n");
    make_directory("/usr/share/doc/dir-to-file", 0755);
    make_file("/etc/opaque/hidden", 0644, "hidden\n");
    make_file("/etc/opaque/replaced", 0644, "replaced\n");
    make_file(huge_name("/usr/share", 'h'), 0644, "huge name\n");
    make_file("/usr/share/\xff\xfe new\nline", 0644, "no text\n");
    sparse("/var/lib/sparse", 1 << 15);
    need(mknod("/etc/device", S_IFCHR | 0640, makedev(1, 3)), "/etc/device");
    set_time("/etc/device");
    need(mkfifo("/etc/pipe", 0620), "/etc/pipe");
    set_time("/etc/pipe");
    make_file("/var/lib/dpkg/status", 0644, "Package: one\nVersion: 1\n");
    make_file("/etc/empty", 0644, "");
    make_directory("/etc/directory-mode", 0755);
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
        set_time(directories[i]);
}

static void change_files(void) {
    make_file("/usr/lib/libone.so.1.1", 0644, "library one, version 1.1\n");
    need(unlink("/usr/lib/libone.so.1"), "libone.so.1");
    make_link("libone.so.1.1", "/usr/lib/libone.so.1");
    need(unlink("/usr/lib/libone.so.1.0"), "libone.so.1.0");
    replace_file("/usr/bin/program", 0755, "program 2\n");
    replace_file("/usr/bin/mighty", 04755, "set-user-ID 2\n");
    replace_file("/usr/bin/capable", 0755, "capable 2\n");
    capability("/usr/bin/capable", 0x24);
    replace_file("/usr/bin/perl", 0755, "one of two new names\n");
    need(unlink("/usr/bin/perl5"), "perl5");
    need(link("/usr/bin/perl", "/usr/bin/perl5"), "perl5");
    need(link("/usr/bin/program", "/usr/bin/program-too"), "program-too");
    replace_file("/usr/bin/lone", 0755, "parted from its other name\n");
    replace_file("/etc/owned", 0644, "owned by another\n");
    own("/etc/owned", 1003, 0);
    make_file("/var/lib/dpkg/status", 0644, "Package: one\nVersion: 2\n");
    make_file("/etc/empty", 0644, "no longer\n");
    make_file("/etc/created", 0400, "created\n");
    replace_file("/etc/same", 0644, "the same after all\n");
    close(open("/etc/opened", O_RDWR));
    need(unlink(huge_name("/usr/share", 'h')), "huge name");
    make_file(huge_name("/usr/share", 'H'), 0644, "another huge name\n");
    make_file("/usr/share/\xff\xfe new\nline", 0644, "still no text\n");
    sparse("/var/lib/sparse", 1 << 13);
    sparse("/var/lib/sparse-too", 3 << 15);
}

static void change_metadata(void) {
    attribute("/etc/attributes", "user.comes", "2");
    attribute("/etc/attributes", "user.changes", "2");
    need(removexattr("/etc/attributes", "user.goes"), "user.goes");
    need(chmod("/etc/mode", 0600), "/etc/mode");
    set_time("/etc/time");
    need(chmod("/etc/directory-mode", 01777), "/etc/directory-mode");
    own("/etc/directory-mode", 5, 5);
    own("/etc/device", 7, 7);
}

static void change_shapes(void) {
    need(unlink("/usr/lib/old/a"), "old/a");
    need(unlink("/usr/lib/old/deep/b"), "deep/b");
    need(unlink("/usr/lib/old/deep/dangling"), "dangling");
    need(rmdir("/usr/lib/old/deep"), "deep");
    need(rmdir("/usr/lib/old/empty"), "empty");
    need(rmdir("/usr/lib/old"), "old");
    need(unlink("/usr/share/doc/dir-to-link/copyright"), "copyright");
    need(rmdir("/usr/share/doc/dir-to-link"), "dir-to-link");
    make_link("../elsewhere", "/usr/share/doc/dir-to-link");
    need(unlink("/usr/share/doc/link-to-dir"), "link-to-dir");
    make_directory("/usr/share/doc/link-to-dir", 02750);
    own("/usr/share/doc/link-to-dir", 3, 4);
    make_file("/usr/share/doc/link-to-dir/inside", 0644, "inside\n");
    set_time("/usr/share/doc/link-to-dir");
    need(unlink("/usr/share/doc/file-to-dir"), "file-to-dir");
    make_directory("/usr/share/doc/file-to-dir", 0755);
    make_directory("/usr/share/doc/file-to-dir/deeper", 0700);
    make_link("x", "/usr/share/doc/file-to-dir/deeper/link");
    need(rmdir("/usr/share/doc/dir-to-file"), "dir-to-file");
    make_file("/usr/share/doc/dir-to-file", 0644, "file\n");
    /* Removed and made again: opaque in the overlay. */
    need(unlink("/etc/opaque/hidden"), "hidden");
    need(unlink("/etc/opaque/replaced"), "replaced");
    need(rmdir("/etc/opaque"), "opaque");
    make_directory("/etc/opaque", 0755);
    make_file("/etc/opaque/replaced", 0600, "new in a new directory\n");
    need(unlink("/etc/pipe"), "pipe");
    need(mknod("/etc/pipe", S_IFIFO | 0600, 0), "pipe");
    set_time("/etc/pipe");
    make_directory("/usr/lib/new", 0755);
    attribute("/usr/lib/new", "user.new", "directory");
    make_directory("/usr/lib/new/deep", 0700);
    make_file("/usr/lib/new/deep/file", 0644, "deep\n");
    need(link("/usr/lib/new/deep/file", "/usr/lib/new/hard"), "hard");
    set_time("/usr/lib/new/deep");
    set_time("/usr/lib/new");
}

/* As the tools of containers do it: nothing of the mounts of before is left. */
static int wait_in(const char *root) {
    need(chdir(root), root);
    need((int)syscall(SYS_pivot_root, ".", "."), root);
    need(umount2(".", MNT_DETACH), root);
    need(chdir("/"), "/");
    need(prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN), "CAP_SYS_ADMIN");
    need(prctl(PR_CAPBSET_DROP, CAP_MKNOD), "CAP_MKNOD");
    puts("ready");
    fflush(stdout);
    return pause();
}

static int show(char **paths) {
    for (; *paths != NULL; paths++) {
        char text[65536];
        int fd = open(*paths, O_RDONLY);
        ssize_t size = fd >= 0 ? read(fd, text, sizeof text) : -1;
        printf("%s: %.*s\n", *paths, size >= 0 ? (int)size : 4, size >= 0 ? text : "none");
        if (fd >= 0)
            close(fd);
    }
    return 0;
}

int main(int argc, char **argv) {
    umask(022);
    if (argc == 3 && strcmp(argv[1], "wait") == 0)
        return wait_in(argv[2]);
    if (argc > 2 && strcmp(argv[1], "show") == 0)
        return show(argv + 2);
    if (argc == 2 && strcmp(argv[1], "self") == 0)
        return printf("%d %d %d\n", getpid(), prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN),
                      prctl(PR_CAPBSET_READ, CAP_MKNOD)) < 0;
    if (argc == 2 && strcmp(argv[1], "make") == 0) {
        make();
    } else if (argc == 2 && strcmp(argv[1], "change") == 0) {
        change_files();
        change_metadata();
        change_shapes();
    } else {
        fprintf(stderr, "usage: change_tree make|change|show FILE...|self|wait ROOT\n");
        return 2;
    }
    return 0;
}
