/* Reads the databases of dpkg and apk in the target, as files. Nothing of the target is run here, and nothing it says
 * is believed beyond what it is asked: a database of its own making can at most hide a package.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/util.h"
#include "tools/patch/package.h"

#define DPKG_STATUS "/var/lib/dpkg/status"
#define DPKG_LISTS "/var/lib/dpkg/info"
#define APK_DATABASE "/lib/apk/db/installed"
#define DATABASE_MOST (64u << 20)

static char *read_database(const struct target *target, const char *path) {
    size_t size;
    /* O_NONBLOCK: a pipe in its place must not hang. */
    cleanup_fd int fd = target_openat(target, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    return fd >= 0 ? fd_read(fd, DATABASE_MOST, &size) : NULL;
}

static bool is_file(const struct target *target, const char *path) {
    struct stat status;
    cleanup_fd int fd = target_openat(target, path, O_PATH | O_CLOEXEC, 0);
    return fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

enum package_manager package_manager_of(const struct target *target) {
    if (is_file(target, DPKG_STATUS))
        return PACKAGES_DPKG;
    return is_file(target, APK_DATABASE) ? PACKAGES_APK : PACKAGES_NONE;
}

/* Cuts the next line off the text; NULL at its end. */
static char *next_line(char **text) {
    char *line = *text;
    if (*line == '\0')
        return NULL;
    char *end = strchrnul(line, '\n');
    *text = *end == '\0' ? end : end + 1;
    *end = '\0';
    return line;
}

/* The value of "Field: value", or NULL when it is another field. */
static char *field(char *line, const char *name) {
    size_t length = strlen(name);
    if (strncasecmp(line, name, length) != 0 || line[length] != ':')
        return NULL;
    return line + length + 1 + strspn(line + length + 1, " \t");
}

/* ---- dpkg ---- */

struct stanza {
    struct package package;
    char *status;
};

static void read_dpkg_field(struct stanza *stanza, char *line) {
    char *value;
    if ((value = field(line, "Package")) != NULL)
        stanza->package.name = value;
    else if ((value = field(line, "Version")) != NULL)
        stanza->package.version = value;
    else if ((value = field(line, "Architecture")) != NULL)
        stanza->package.architecture = value;
    else if ((value = field(line, "Source")) != NULL)
        stanza->package.source = value;
    else if ((value = field(line, "Status")) != NULL)
        stanza->status = value;
    else if ((value = field(line, "Installed-Size")) != NULL)
        stanza->package.occupies = strtoull(value, NULL, 10) % (1ull << 40) * 1024;
}

/* "install ok installed": what is wanted, whether there was an error, how far it got. */
static bool read_status(struct stanza *stanza) {
    char *rest = stanza->status;
    const char *want = strsep(&rest, " "), *error = strsep(&rest, " "), *state = strsep(&rest, " ");
    if (want == NULL || error == NULL || state == NULL)
        return false;
    if (strcmp(state, "not-installed") == 0 || strcmp(state, "config-files") == 0)
        return false;
    stanza->package.held = strcmp(want, "hold") == 0;
    stanza->package.interrupted = strcmp(error, "ok") != 0 || strcmp(state, "installed") != 0;
    return true;
}

/* True: go on. */
static bool visit_stanza(struct stanza *stanza, package_visit *visit, void *context) {
    bool good = true;
    if (stanza->package.name != NULL && stanza->package.version != NULL && read_status(stanza))
        good = visit(&stanza->package, context);
    *stanza = (struct stanza){0};
    return good;
}

static void each_dpkg(char *text, package_visit *visit, void *context) {
    struct stanza stanza = {0};
    for (char *line; (line = next_line(&text)) != NULL;) {
        if (*line != '\0')
            read_dpkg_field(&stanza, line);
        else if (!visit_stanza(&stanza, visit, context))
            return;
    }
    visit_stanza(&stanza, visit, context);
}

/* ---- apk ---- */

static void each_apk(char *text, package_visit *visit, void *context) {
    struct package package = {0};
    for (char *line; (line = next_line(&text)) != NULL;) {
        if (strncmp(line, "P:", 2) == 0)
            package.name = line + 2;
        else if (strncmp(line, "V:", 2) == 0)
            package.version = line + 2;
        else if (strncmp(line, "A:", 2) == 0)
            package.architecture = line + 2;
        else if (strncmp(line, "I:", 2) == 0)
            package.occupies = strtoull(line + 2, NULL, 10) % (1ull << 50);
        else if (strncmp(line, "f:", 2) == 0) /* marks of what is broken */
            package.interrupted = strpbrk(line + 2, "fsx") != NULL;
        else if (*line == '\0') {
            if (package.name != NULL && package.version != NULL && !visit(&package, context))
                return;
            package = (struct package){0};
        }
    }
    if (package.name != NULL && package.version != NULL)
        visit(&package, context);
}

/* ---- both ---- */

void package_each_of(enum package_manager manager, char *text, package_visit *visit, void *context) {
    if (manager == PACKAGES_DPKG)
        each_dpkg(text, visit, context);
    else
        each_apk(text, visit, context);
}

bool package_each(const struct target *target, package_visit *visit, void *context) {
    enum package_manager manager = package_manager_of(target);
    if (manager == PACKAGES_NONE)
        return false;
    cleanup_free char *text = read_database(target, manager == PACKAGES_DPKG ? DPKG_STATUS : APK_DATABASE);
    if (text == NULL)
        return false;
    package_each_of(manager, text, visit, context);
    return true;
}

struct search {
    const char *name, *architecture;
    char *version;
};

static bool same_architecture(const char *a, const char *b) {
    return a == NULL || b == NULL || strcmp(a, b) == 0 || strcmp(a, "all") == 0 || strcmp(b, "all") == 0;
}

static bool find_package(const struct package *package, void *context) {
    struct search *search = context;
    if (strcmp(package->name, search->name) != 0 || !same_architecture(package->architecture, search->architecture))
        return true;
    search->version = xstrdup(package->version);
    return false;
}

char *package_installed(const struct target *target, const char *package, const char *architecture) {
    struct search search = {.name = package, .architecture = architecture};
    package_each(target, find_package, &search);
    return search.version;
}

/* ---- owners ---- */

/* The other name of a path of a system whose /bin, /lib and /sbin are links into /usr; NULL: it has none. */
static char *merged_name(const char *path) {
    const char *rest = strncmp(path, "/usr/", 5) == 0 ? path + 4 : path;
    if (strncmp(rest, "/bin/", 5) != 0 && strncmp(rest, "/sbin/", 6) != 0 && strncmp(rest, "/lib", 4) != 0)
        return NULL;
    return rest != path ? xstrdup(rest) : xasprintf("/usr%s", path);
}

static bool has_line(char *text, const char *path, const char *other) {
    for (char *line; (line = next_line(&text)) != NULL;) {
        if (strcmp(line, path) == 0 || (other != NULL && strcmp(line, other) == 0))
            return true;
    }
    return false;
}

/* "libc6:amd64.list" -> "libc6"; NULL: another kind of file. */
static char *listed_package(const char *name) {
    size_t length = strlen(name);
    if (length <= 5 || strcmp(name + length - 5, ".list") != 0)
        return NULL;
    size_t colon = strcspn(name, ":");
    return xstrndup(name, colon < length - 5 ? colon : length - 5);
}

static char *dpkg_owner(const struct target *target, const char *path, const char *other) {
    int fd = target_openat(target, DPKG_LISTS, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (directory == NULL) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    char *owner = NULL;
    for (struct dirent *entry; owner == NULL && (entry = readdir(directory)) != NULL;) {
        cleanup_free char *package = listed_package(entry->d_name);
        if (package == NULL)
            continue;
        cleanup_free char *list = xasprintf(DPKG_LISTS "/%s", entry->d_name);
        cleanup_free char *text = read_database(target, list);
        if (text != NULL && has_line(text, path, other))
            owner = steal_pointer(&package);
    }
    closedir(directory);
    return owner;
}

/* Files stand below their directory, both below their package, without the first slash. */
static char *apk_owner(const struct target *target, const char *path, const char *other) {
    cleanup_free char *database = read_database(target, APK_DATABASE);
    if (database == NULL)
        return NULL;
    char *text = database;
    const char *package = "", *directory = "";
    for (char *line; (line = next_line(&text)) != NULL;) {
        if (strncmp(line, "P:", 2) == 0)
            package = line + 2;
        else if (strncmp(line, "F:", 2) == 0)
            directory = line + 2;
        if (strncmp(line, "R:", 2) != 0)
            continue;
        cleanup_free char *file = xasprintf("/%s%s%s", directory, *directory != '\0' ? "/" : "", line + 2);
        if (strcmp(file, path) == 0 || (other != NULL && strcmp(file, other) == 0))
            return xstrdup(package);
    }
    return NULL;
}

char *package_owner(const struct target *target, const char *path) {
    cleanup_free char *other = merged_name(path);
    switch (package_manager_of(target)) {
    case PACKAGES_DPKG: return dpkg_owner(target, path, other);
    case PACKAGES_APK: return apk_owner(target, path, other);
    default: return NULL;
    }
}
