/* Attacks on the memory that protects the process, each in a child of its own: prints those that were not refused
 * and how many were.
 *
 *   guard
 */
#include <fcntl.h>
#include <link.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "tests/hazards/hazard.h"

struct target {
    const char *name;
    char *low, *high;
};

static struct target targets[16];
static unsigned target_count, refused, tried;
static const size_t page = 4096;

/* ---- what is attacked ---- */

static void add(const char *name, unsigned long low, unsigned long high) {
    if (target_count < 16 && low < high)
        targets[target_count++] = (struct target){name, (char *)low, (char *)high};
}

static void find_mapped(void) {
    char line[4096], protection[8];
    unsigned long low, high, inode;
    FILE *maps = fopen("/proc/self/maps", "r");
    EXPECT(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        int name = 0;
        if (sscanf(line, "%lx-%lx %7s %*x %*s %lu %n", &low, &high, protection, &inode, &name) != 4)
            continue;
        if (strstr(line, "libpinion.so") != NULL)
            add(protection[2] == 'x'   ? "shim's code"
                : protection[1] == 'w' ? "shim's data"
                                       : "shim's sealed pages",
                low, high);
        else if (strstr(line, ".pinion") != NULL)
            add("policy", low, high);
        else if (inode == 0 && line[name] == '\0' && strcmp(protection, "r--p") == 0 && high - low > 100000)
            add("module map", low, high);
    }
    fclose(maps);
}

static int find_modules(struct dl_phdr_info *info, size_t size, void *seen) {
    (void)size;
    bool program = (*(int *)seen)++ == 0, libc = strstr(info->dlpi_name, "/libc.so") != NULL;
    for (int i = 0; (program || libc) && i < info->dlpi_phnum; i++) {
        unsigned long low = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, high = low + info->dlpi_phdr[i].p_memsz;
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X))
            add(program ? "program's code" : "libc's code", low & ~(page - 1), (high + page - 1) & ~(page - 1));
        if (info->dlpi_phdr[i].p_type == PT_GNU_RELRO)
            add(program ? "program's relocated constants" : "libc's relocated constants", low & ~(page - 1),
                high & ~(page - 1));
    }
    return 0;
}

/* ---- attacks on pages ---- */

static long process_descriptor(void) {
    return syscall(SYS_pidfd_open, getpid(), 0);
}

static long by_mprotect(struct target t) {
    return mprotect(t.low, page, PROT_READ | PROT_WRITE | PROT_EXEC);
}

static long by_mprotect_from_below(struct target t) {
    return mprotect(t.low - page, page + 1, PROT_READ | PROT_WRITE);
}

static long by_pkey_mprotect(struct target t) {
    return pkey_mprotect(t.low, page, PROT_READ | PROT_WRITE, -1);
}

static long by_munmap(struct target t) {
    return munmap(t.high - page, page);
}

static long by_munmap_of_all(struct target t) {
    return munmap((char *)page, (size_t)t.high);
}

static long by_mmap(struct target t) {
    return (long)mmap(t.low, page, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long by_mremap_away(struct target t) {
    return (long)mremap(t.low, page, 2 * page, MREMAP_MAYMOVE);
}

static long by_mremap_onto(struct target t) {
    void *pages = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return (long)mremap(pages, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, t.low);
}

static long by_madvise(struct target t) {
    return madvise(t.low, page, MADV_DONTNEED);
}

/* Since Linux 6.13: the pages are as if they were not there. */
static long by_guard_pages(struct target t) {
    return madvise(t.low, page, 102 /* MADV_GUARD_INSTALL */);
}

static long by_process_madvise(struct target t) {
    struct iovec range = {t.low, page};
    return syscall(SYS_process_madvise, process_descriptor(), &range, 1UL, MADV_DONTNEED, 0UL);
}

static long by_process_vm_writev(struct target t) {
    char byte = 0;
    struct iovec from = {&byte, 1}, to = {t.low, 1};
    return process_vm_writev(getpid(), &from, 1, &to, 1, 0);
}

static long by_shmat_at(char *address, size_t size) {
    int segment = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
    EXPECT(segment >= 0);
    long result = (long)shmat(segment, address, SHM_REMAP);
    int reason = errno;
    shmctl(segment, IPC_RMID, NULL);
    errno = reason;
    return result;
}

static long by_shmat(struct target t) {
    return by_shmat_at(t.low, page);
}

static long by_shmat_from_below(struct target t) {
    return by_shmat_at(t.low - page, 2 * page);
}

static long by_syscall_mprotect(struct target t) {
    return syscall(SYS_mprotect, t.low, page, PROT_READ | PROT_WRITE);
}

static long by_syscall_mmap(struct target t) {
    return syscall(SYS_mmap, t.low, page, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
}

static long by_syscall_mremap(struct target t) {
    void *pages = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return syscall(SYS_mremap, pages, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, t.low);
}

static long by_syscall_madvise(struct target t) {
    return syscall(SYS_madvise, t.low, page, MADV_DONTNEED);
}

#define ATTACK(name) \
    { #name, by_##name }
static const struct {
    const char *name;
    long (*attack)(struct target target);
} page_attacks[] = {
    ATTACK(mprotect),     ATTACK(mprotect_from_below), ATTACK(pkey_mprotect),
    ATTACK(munmap),       ATTACK(munmap_of_all),       ATTACK(mmap),
    ATTACK(mremap_away),  ATTACK(mremap_onto),         ATTACK(madvise),
    ATTACK(guard_pages),  ATTACK(process_madvise),     ATTACK(process_vm_writev),
    ATTACK(shmat),        ATTACK(shmat_from_below),    ATTACK(syscall_mprotect),
    ATTACK(syscall_mmap), ATTACK(syscall_mremap),      ATTACK(syscall_madvise),
};

/* ---- attacks through /proc ---- */

static char path[256];

static long with_open(void) {
    return open(path, O_RDWR);
}

static long with_access_mode_three(void) {
    return open(path, 3);
}

static long with_openat(void) {
    return openat(AT_FDCWD, path, O_WRONLY);
}

static long with_creat(void) {
    return creat(path, 0600);
}

static long with_fopen(void) {
    return fopen(path, "r+") != NULL ? 0 : -1;
}

static long with_freopen(void) {
    return freopen(path, "w", stdin) != NULL ? 0 : -1;
}

static long with_syscall(void) {
    return syscall(SYS_open, path, O_RDWR);
}

/* The program that is started writes into the memory of its parent. */
static long with_posix_spawn(void) {
    posix_spawn_file_actions_t actions;
    EXPECT(posix_spawn_file_actions_init(&actions) == 0);
    errno = posix_spawn_file_actions_addopen(&actions, 1, path, O_WRONLY, 0);
    return errno == 0 ? 0 : -1;
}

#define WAY(name) \
    { #name, with_##name }
static const struct {
    const char *name;
    long (*attack)(void);
} ways[] = {WAY(open),  WAY(access_mode_three), WAY(openat),  WAY(creat),
            WAY(fopen), WAY(freopen),           WAY(syscall), WAY(posix_spawn)};

static const char *const paths[] = {
    "/proc/self/mem",
    "/proc/thread-self/mem",
    "//proc/self/./mem",
    "/proc//self///mem",
    "/./proc/self/mem",
    "/proc/self/../self/mem",
    "/tmp/../proc/self/mem",
    "/dev/fd/../mem",
    "/proc/self/root/proc/self/mem",
    "/proc/self/cwd/mem",
    "mem",
    "./mem",
    "../self/mem",
    "task/PID/mem",
    "/proc/PID/mem",
    "/proc/PID/task/PID/mem",
    "/proc/self/fd/FD",
    "/dev/fd/FD",
    "/dev/stdin",
    "LINK",
    "DIRECTORY/mem",
};

/* ---- running them ---- */

enum outcome {
    DONE,
    REFUSED,
    FAILED
};

static enum outcome outcome_of(long result) {
    return result != -1 ? DONE : errno == EPERM ? REFUSED : FAILED;
}

static void judge(const char *attack, const char *on, pid_t child) {
    int status = 0;
    EXPECT(child > 0 && waitpid(child, &status, 0) == child);
    tried++;
    if (WIFEXITED(status) && WEXITSTATUS(status) == REFUSED)
        refused++;
    else if (WIFEXITED(status) && WEXITSTATUS(status) >= 16)
        printf("%s, %s: %s\n", attack, on, strerror(WEXITSTATUS(status) - 16));
    else
        printf("%s, %s: %s\n", attack, on, WIFEXITED(status) ? "done" : "ended by a signal");
}

static void end(long result) {
    enum outcome outcome = outcome_of(result);
    _exit(outcome == FAILED ? 16 + errno : (int)outcome);
}

static void attack_pages(void) {
    for (size_t i = 0; i < sizeof page_attacks / sizeof page_attacks[0]; i++)
        for (unsigned j = 0; j < target_count; j++) {
            pid_t child = fork();
            if (child == 0)
                end(page_attacks[i].attack(targets[j]));
            judge(page_attacks[i].name, targets[j].name, child);
        }
}

static bool made; /* the link of make_path */

static void remove_link(void) {
    char link[64];
    snprintf(link, sizeof link, "/tmp/pinion-guard-%d", getpid());
    if (made)
        unlink(link);
}

/* Writes the path with the process's own number, or that of a descriptor of its memory, in place of PID and FD; makes a
 * link to its memory or its directory for LINK and DIRECTORY. */
static void make_path(const char *pattern) {
    char *to = path;
    for (; *pattern != '\0'; pattern++)
        if (strncmp(pattern, "PID", 3) == 0) {
            to += sprintf(to, "%d", getpid());
            pattern += 2;
        } else if (strncmp(pattern, "FD", 2) == 0) {
            to += sprintf(to, "%d", open("/proc/self/mem", O_RDONLY));
            pattern++;
        } else if (strncmp(pattern, "LINK", 4) == 0) {
            to += sprintf(to, "/tmp/pinion-guard-%d", getpid());
            EXPECT(symlink("/proc/self/mem", path) == 0);
            made = true;
            pattern += 3;
        } else if (strncmp(pattern, "DIRECTORY", 9) == 0) {
            to += sprintf(to, "/tmp/pinion-guard-%d", getpid());
            EXPECT(symlink("/proc/self", path) == 0);
            made = true;
            pattern += 8;
        } else {
            *to++ = *pattern;
        }
    *to = '\0';
}

static void attack_by_path(void) {
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        for (size_t j = 0; j < sizeof ways / sizeof ways[0]; j++) {
            pid_t child = fork();
            if (child == 0) {
                if (strcmp(paths[i], "/dev/stdin") == 0)
                    EXPECT(dup2(open("/proc/self/mem", O_RDONLY), 0) == 0);
                make_path(paths[i]);
                EXPECT(chdir("/proc/self") == 0);
                long result = ways[j].attack();
                int error = errno;
                remove_link();
                errno = error;
                end(result);
            }
            judge(ways[j].name, paths[i], child);
        }
}

int main(void) {
    int seen = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    find_mapped();
    dl_iterate_phdr(find_modules, &seen);
    attack_pages();
    unsigned pages = tried;
    attack_by_path();
    printf("%u targets, %u attacks on pages, %u by path, %u refused\n", target_count, pages, tried - pages, refused);
    return 0;
}
