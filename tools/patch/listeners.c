/* The sockets by which a target is reached, from /proc, and whether they answer. Lines there are the kernel's, names in
 * them the target's: a path is opened inside the target alone.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "runtime/util.h"
#include "tools/patch/processes.h"

/* ---- sockets ---- */

struct socket_row {
    uint64_t inode;
    int family;
    bool listens; /* for connections; else it waits for datagrams */
    char address[sizeof((struct listener *)0)->address];
    unsigned port;
};

struct socket_rows {
    struct socket_row *items;
    size_t count;
};

/* "0100007F": words of 32 bits in the order of this machine. */
static void format_address(const char *digits, struct socket_row *row) {
    uint32_t words[4] = {0};
    size_t count = row->family == AF_INET6 ? 4 : 1;
    for (size_t i = 0; i < count; i++)
        (void)sscanf(digits + 8 * i, "%8" SCNx32, &words[i]);
    inet_ntop(row->family, words, row->address, sizeof row->address);
}

/* "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 ..." */
static bool parse_internet(const char *line, int family, bool datagrams, struct socket_row *row) {
    char local[33];
    unsigned remote_port, state;
    *row = (struct socket_row){.family = family, .listens = !datagrams};
    if (sscanf(line, " %*[0-9]: %32[0-9A-F]:%x %*[0-9A-F]:%x %x %*s %*s %*s %*s %*s %" SCNu64, local, &row->port,
               &remote_port, &state, &row->inode) != 5 ||
        strlen(local) != (family == AF_INET6 ? 32u : 8u) || remote_port != 0 ||
        state != (datagrams ? (unsigned)TCP_CLOSE : (unsigned)TCP_LISTEN))
        return false;
    format_address(local, row);
    return true;
}

/* "0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/x": flags, type, state */
static bool parse_local(const char *line, struct socket_row *row) {
    unsigned flags, type;
    int path = 0;
    *row = (struct socket_row){.family = AF_UNIX};
    if (sscanf(line, "%*[0-9a-f]: %*x %*x %x %x %*x %" SCNu64 " %n", &flags, &type, &row->inode, &path) != 3 ||
        path == 0 || line[path] == '\0' || strlen(line + path) >= sizeof row->address)
        return false;
    memcpy(row->address, line + path, strlen(line + path) + 1);
    row->listens = (flags & 0x10000) != 0;
    return row->listens || type == SOCK_DGRAM;
}

static const struct {
    const char *name;
    int family;
    bool datagrams;
} socket_tables[] = {
    {"net/tcp", AF_INET, false},  {"net/tcp6", AF_INET6, false}, {"net/udp", AF_INET, true},
    {"net/udp6", AF_INET6, true}, {"net/unix", AF_UNIX, false},
};

/* Of a busy server there are tens of thousands of lines; the kernel lists those that listen first. */
static void read_table(pid_t process, size_t table, struct socket_rows *rows) {
    cleanup_free char *path = xasprintf("/proc/%d/%s", (int)process, socket_tables[table].name);
    cleanup_file FILE *file = fopen(path, "re");
    cleanup_free char *line = NULL;
    size_t size = 0;
    bool connections = socket_tables[table].family != AF_UNIX && !socket_tables[table].datagrams;
    for (size_t number = 0; file != NULL && getline(&line, &size, file) > 0; number++) {
        struct socket_row row;
        line[strcspn(line, "\n")] = '\0';
        if (socket_tables[table].family == AF_UNIX
                ? parse_local(line, &row)
                : parse_internet(line, socket_tables[table].family, socket_tables[table].datagrams, &row))
            *array_append(rows->items, rows->count) = row;
        else if (connections && number > 0)
            break;
    }
}

/* The sockets by which others reach somebody in the process's network namespace. */
static struct socket_rows read_sockets(pid_t process) {
    struct socket_rows rows = {0};
    for (size_t i = 0; i < sizeof socket_tables / sizeof socket_tables[0]; i++)
        read_table(process, i, &rows);
    return rows;
}

struct inodes {
    uint64_t *items;
    size_t count;
};

static bool has_inode(const struct inodes *inodes, uint64_t inode) {
    for (size_t i = 0; i < inodes->count; i++)
        if (inodes->items[i] == inode)
            return true;
    return false;
}

static struct inodes open_sockets(pid_t process) {
    struct inodes inodes = {0};
    cleanup_free char *path = xasprintf("/proc/%d/fd", (int)process);
    DIR *directory = opendir(path);
    for (struct dirent *entry = directory != NULL ? readdir(directory) : NULL; entry; entry = readdir(directory)) {
        char link[64];
        uint64_t inode;
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, link, sizeof link - 1);
        link[length > 0 ? length : 0] = '\0';
        if (sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1)
            *array_append(inodes.items, inodes.count) = inode;
    }
    if (directory != NULL)
        closedir(directory);
    return inodes;
}

/* Those of the rows that the process has open come first; returns how many these are. */
static size_t own_sockets(pid_t process, struct socket_rows *rows) {
    struct inodes open = open_sockets(process);
    size_t count = 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (!has_inode(&open, rows->items[i].inode))
            continue;
        struct socket_row row = rows->items[i];
        rows->items[i] = rows->items[count];
        rows->items[count++] = row;
    }
    free(open.items);
    return count;
}

bool process_serves(pid_t process) {
    struct socket_rows rows = read_sockets(process);
    bool serves = own_sockets(process, &rows) > 0;
    free(rows.items);
    return serves;
}

bool processes_share_listener(pid_t a, pid_t b) {
    struct socket_rows rows = read_sockets(a);
    struct inodes others = open_sockets(b);
    size_t count = own_sockets(a, &rows);
    bool shared = false;
    for (size_t i = 0; i < count; i++)
        shared = shared || (rows.items[i].listens && has_inode(&others, rows.items[i].inode));
    free(rows.items);
    free(others.items);
    return shared;
}

/* ---- listeners ---- */

struct listener_list {
    struct listener *items;
    size_t count;
};

static bool same_network(int a, int b) {
    struct stat first, second;
    return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_ino == second.st_ino;
}

static bool is_listed(const struct listener_list *list, const char *program, const struct socket_row *row,
                      int network) {
    for (size_t i = 0; i < list->count; i++) {
        const struct listener *listener = &list->items[i];
        if (listener->family == row->family && listener->port == row->port &&
            strcmp(listener->address, row->address) == 0 && strcmp(listener->program, program) == 0 &&
            same_network(listener->network, network))
            return true;
    }
    return false;
}

/* A socket's name is the one it was bound to: programs rename theirs into place, and then nobody reaches it by that. */
static bool is_reachable(const struct target *target, const struct socket_row *row) {
    struct stat status;
    if (row->family != AF_UNIX || row->address[0] == '@')
        return true;
    cleanup_fd int fd = row->address[0] == '/' ? target_openat(target, row->address, O_PATH | O_CLOEXEC, 0) : -1;
    return fd >= 0 && fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

static void add_listeners(struct listener_list *list, const struct target *target, const struct process_facts *facts) {
    struct socket_rows rows = read_sockets(facts->process);
    size_t count = own_sockets(facts->process, &rows);
    cleanup_free char *link = xasprintf("/proc/%d/ns/net", (int)facts->process);
    cleanup_fd int network = open(link, O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < count; i++) {
        const struct socket_row *row = &rows.items[i];
        if (!row->listens || !is_reachable(target, row) || is_listed(list, facts->program, row, network))
            continue;
        struct listener *listener = array_append(list->items, list->count);
        *listener = (struct listener){.program = xstrdup(facts->program),
                                      .family = row->family,
                                      .port = row->port,
                                      .process = facts->process,
                                      .network = fcntl(network, F_DUPFD_CLOEXEC, 0)};
        memcpy(listener->address, row->address, sizeof listener->address);
    }
    free(rows.items);
}

size_t processes_listeners(const struct target *target, const struct stale_process *processes, size_t count,
                           struct listener **listeners) {
    struct process_facts *all;
    size_t all_count = count > 0 ? processes_all(target, &all) : 0;
    struct listener_list list = {0};
    for (size_t i = 0; i < all_count; i++) {
        bool wanted = false;
        for (size_t j = 0; j < count; j++)
            wanted = wanted || strcmp(processes[j].program, all[i].program) == 0;
        if (wanted && !process_is_manager(&all[i])) /* a connection would start the service that it listens for */
            add_listeners(&list, target, &all[i]);
    }
    if (count > 0)
        process_facts_free(all, all_count);
    *listeners = list.items;
    return list.count;
}

void listeners_free(struct listener *listeners, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(listeners[i].program);
        if (listeners[i].network >= 0)
            close(listeners[i].network);
    }
    free(listeners);
}

/* ---- whether it answers ---- */

#define CONNECT_MILLISECONDS 2000

union socket_address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    struct sockaddr_un local;
};

/* A listener on all addresses is asked at the loopback. */
static socklen_t internet_address(const struct listener *listener, union socket_address *address) {
    *address = (union socket_address){.any.sa_family = (sa_family_t)listener->family};
    if (listener->family == AF_INET) {
        address->four.sin_port = htons((uint16_t)listener->port);
        inet_pton(AF_INET, listener->address, &address->four.sin_addr);
        if (address->four.sin_addr.s_addr == htonl(INADDR_ANY))
            address->four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof address->four;
    }
    address->six.sin6_port = htons((uint16_t)listener->port);
    inet_pton(AF_INET6, listener->address, &address->six.sin6_addr);
    if (IN6_IS_ADDR_UNSPECIFIED(&address->six.sin6_addr))
        address->six.sin6_addr = in6addr_loopback;
    return sizeof address->six;
}

/* A path is reached through its descriptor, so that no link leads out of the target. */
static socklen_t local_address(const struct listener *listener, int place, union socket_address *address) {
    *address = (union socket_address){.any.sa_family = AF_UNIX};
    char *path = address->local.sun_path;
    if (listener->address[0] != '@') {
        snprintf(path, sizeof address->local.sun_path, "/proc/self/fd/%d", place);
        return sizeof address->local;
    }
    size_t length = strlen(listener->address);
    memcpy(path + 1, listener->address + 1, length - 1);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

static bool connects(int family, const struct sockaddr *address, socklen_t size) {
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
    for (size_t i = 0; i < (family == AF_UNIX ? 2u : 1u); i++) {
        cleanup_fd int fd = socket(family, types[i] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            return false;
        if (connect(fd, address, size) == 0)
            return true;
        struct pollfd waiting = {.fd = fd, .events = POLLOUT};
        int problem = 0;
        socklen_t length = sizeof problem;
        if (errno == EINPROGRESS && poll(&waiting, 1, CONNECT_MILLISECONDS) == 1 &&
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &length) == 0 && problem == 0)
            return true;
    }
    return false;
}

static bool listener_connects(const struct target *target, const struct listener *listener) {
    union socket_address address;
    if (listener->family != AF_UNIX) {
        socklen_t size = internet_address(listener, &address);
        return connects(listener->family, &address.any, size);
    }
    cleanup_fd int place =
        listener->address[0] == '/' ? target_openat(target, listener->address, O_PATH | O_CLOEXEC, 0) : -1;
    if (listener->address[0] == '/' && place < 0)
        return false;
    socklen_t size = local_address(listener, place, &address);
    return connects(AF_UNIX, &address.any, size);
}

/* A thread or process belongs to one network namespace: a child of ours goes there. It only makes system calls. */
bool listener_answers(const struct target *target, const struct listener *listener) {
    cleanup_fd int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (listener->network < 0 || same_network(own, listener->network))
        return listener_connects(target, listener);
    pid_t child = fork();
    if (child == 0)
        _exit(setns(listener->network, CLONE_NEWNET) == 0 && listener_connects(target, listener) ? 0 : 1);
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

size_t listeners_answering(const struct target *target, struct listener *listeners, size_t count, unsigned seconds) {
    uint64_t deadline = clock_nanoseconds(CLOCK_MONOTONIC) + seconds * UINT64_C(1000000000);
    size_t answering = 0;
    for (size_t i = 0; i < count && clock_nanoseconds(CLOCK_MONOTONIC) < deadline; i++) {
        struct listener listener = listeners[i];
        if (!listener_answers(target, &listener))
            continue;
        listeners[i] = listeners[answering];
        listeners[answering++] = listener;
    }
    return answering;
}
