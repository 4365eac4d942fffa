/* Finding, making and mapping the page of counts. Set-up: runs once in a process, at its first call.
 *
 * The page is made under a name of its own and then given its real one, so that nobody sees it unfinished. Its memory is
 * reserved then: a full file system is an error here, not a signal in the middle of the program.
 */
#include <asm/errno.h>
#include <asm/stat.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/time.h>

#include "preload/clock.h"
#include "preload/counts.h"
#include "preload/libc.h"
#include "preload/raw.h"
#include "preload/state.h"

#define OPEN_FLAGS (O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK)

static uint64_t unix_now(void) {
    struct timespec now = {0, 0};
    raw(__NR_clock_gettime, CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void prepare(struct counts_page *page, uint64_t interval) {
    page->origin = clock_now();
    page->origin_unix = unix_now();
    counts_prepare(page, interval);
}

static struct counts_page *map(int descriptor, int flags) {
    long pages = raw(__NR_mmap, 0, sizeof(struct counts_page), PROT_READ | PROT_WRITE, flags, descriptor, 0);
    return raw_failed(pages) ? NULL : (struct counts_page *)pages;
}

/* ---- a page that is there ---- */

/* Whose it is matters: who can cut it short ends all that have it mapped. */
static const char *refuse(const struct stat *status) {
    if ((status->st_mode & 0170000) != 0100000)
        return "the page of counts is not a file";
    if (status->st_uid != 0 && status->st_uid != (uint32_t)raw(__NR_geteuid))
        return "the page of counts belongs to another user";
    if (status->st_size != (long)sizeof(struct counts_page))
        return "the page of counts has another size: remove it";
    return NULL;
}

static struct counts_page *map_existing(int descriptor, const char **problem) {
    struct stat status = {0};
    if (raw(__NR_fstat, descriptor, &status) != 0)
        *problem = "the page of counts cannot be examined";
    else
        *problem = refuse(&status);
    if (*problem != NULL)
        return NULL;
    struct counts_page *page = map(descriptor, MAP_SHARED);
    if (page == NULL)
        *problem = "the page of counts cannot be mapped";
    else if (counts_problem(page, sizeof *page) != NULL) {
        *problem = "the page of counts is of another form or build: remove it";
        raw(__NR_munmap, page, sizeof *page);
        page = NULL;
    }
    return page;
}

/* ---- a new one ---- */

static void temporary_name(const char *path, char name[PATH_BYTES]) {
    size_t length = strlen(path);
    memcpy(name, path, length);
    name[length++] = '.';
    for (uint32_t pid = (uint32_t)raw(__NR_getpid); pid != 0; pid /= 10)
        name[length++] = (char)('0' + pid % 10);
    name[length] = '\0';
}

static struct counts_page *fill(int descriptor, uint64_t interval) {
    struct stat status = {0};
    if (raw(__NR_fchmod, descriptor, 0666) != 0 ||
        raw(__NR_fallocate, descriptor, 0, 0, sizeof(struct counts_page)) != 0 ||
        raw(__NR_fstat, descriptor, &status) != 0)
        return NULL;
    struct counts_page *page = map(descriptor, MAP_SHARED);
    if (page != NULL)
        prepare(page, interval);
    return page;
}

/* Returns 0, -EEXIST when another process was faster, or another error. */
static long make(const char *path, uint64_t interval, struct counts_page **page) {
    char name[PATH_BYTES];
    if (strlen(path) + 12 > sizeof name)
        return -ENAMETOOLONG;
    temporary_name(path, name);
    long opened = raw(__NR_openat, AT_FDCWD, name, OPEN_FLAGS | O_CREAT | O_EXCL, 0600);
    if (raw_failed(opened))
        return opened;
    *page = fill((int)opened, interval);
    raw(__NR_close, opened);
    long result = *page != NULL ? raw(__NR_renameat2, AT_FDCWD, name, AT_FDCWD, path, RENAME_NOREPLACE) : (long)-ENOSPC;
    if (result != 0) {
        raw(__NR_unlink, name);
        if (*page != NULL)
            raw(__NR_munmap, *page, sizeof **page);
        *page = NULL;
    }
    return result;
}

/* ---- the sequence ---- */

static struct counts_page *open_shared(const char *path, uint64_t interval, const char **problem) {
    struct counts_page *page = NULL;
    for (unsigned attempt = 0; attempt < 3; attempt++) {
        long opened = raw(__NR_openat, AT_FDCWD, path, OPEN_FLAGS, 0);
        if (!raw_failed(opened)) {
            page = map_existing((int)opened, problem);
            raw(__NR_close, opened);
            return page;
        }
        if (opened != -ENOENT) {
            *problem = "the page of counts cannot be opened";
            return NULL;
        }
        if (make(path, interval, &page) != -EEXIST)
            return page;
    }
    return NULL;
}

struct counts_source counts_open(uint64_t interval, const char **problem) {
    char name[COUNTS_PATH_BYTES];
    const char *path = STATE->counts_path;
    struct counts_page *page = NULL;
    *problem = NULL;
    if (path == NULL) {
        counts_default_path(name);
        path = name;
    }
    if (path[0] == '/')
        page = open_shared(path, interval, problem);
    if (page == NULL) {
        page = map(-1, MAP_SHARED | MAP_ANONYMOUS);
        if (page != NULL)
            prepare(page, interval);
    }
    if (page == NULL)
        return (struct counts_source){0};
    /* It was examined, but others may have written to it since, and the interval is divided by. */
    uint64_t found = __atomic_load_n(&page->interval, __ATOMIC_RELAXED);
    return (struct counts_source){page, counts_interval_fits(found) ? found : interval, page->origin,
                                  page->origin_unix};
}
