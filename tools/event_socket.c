/* Listening for events: a Unix datagram socket that is open to all, and the kernel's word on who sent what. */
#include "tools/event_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "runtime/util.h"

const char *event_default_socket(void) {
    const char *path = getenv("PINION_EVENTS");
    return path && *path ? path : EVENT_SOCKET;
}

static struct sockaddr_un address_of(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (*path != '/' || strlen(path) >= sizeof address.sun_path)
        die("cannot listen on \"%s\": it must be an absolute path of at most %zu bytes", path,
            sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path));
    return address;
}

/* Only the default's directory is made: a name with a slip in it should not become one. */
static void make_directory(const char *path) {
    cleanup_free char *directory = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    struct stat status;
    if (*directory == '\0')
        return;
    if (strcmp(path, EVENT_SOCKET) == 0 && mkdir(directory, 0755) != 0 && errno != EEXIST)
        die_with_error("cannot make the directory \"%s\"", directory);
    if (stat(directory, &status) != 0 && errno == ENOENT)
        die("cannot listen on \"%s\": the directory \"%s\" is not there: make it, writable by the listener alone", path,
            directory);
}

/* A socket that was left behind by a listener that is gone is in the way. */
static void remove_stale(const struct sockaddr_un *address) {
    struct stat status;
    if (lstat(address->sun_path, &status) != 0)
        return;
    if (!S_ISSOCK(status.st_mode))
        die("cannot listen on \"%s\": that is a file, not a socket", address->sun_path);
    cleanup_fd int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (connect(probe, (const struct sockaddr *)address, sizeof *address) == 0)
        die("cannot listen on \"%s\": another process does", address->sun_path);
    if (errno == ECONNREFUSED && unlink(address->sun_path) != 0)
        die_with_error("cannot remove \"%s\"", address->sun_path);
}

int event_listen(const char *path) {
    struct sockaddr_un address = address_of(path);
    int on = 1;
    make_directory(path);
    remove_stale(&address);
    cleanup_fd int listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Open to all from the start: a mode that is set by name afterwards could be set on what somebody, who may write to
     * the directory, has put there meanwhile. */
    mode_t old = umask(0111);
    bool bound = listener >= 0 && setsockopt(listener, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0 &&
                 bind(listener, (const struct sockaddr *)&address, sizeof address) == 0;
    umask(old);
    if (!bound)
        die_with_error("cannot listen on \"%s\"", path);
    return steal_fd(&listener);
}

struct datagram {
    struct event event;
    char beyond; /* what is longer than an event shows here */
};

/* The kernel's word on the sender, or NULL. */
static const struct ucred *sender_of(struct msghdr *message) {
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part))
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS &&
            part->cmsg_len >= CMSG_LEN(sizeof(struct ucred)))
            return (const struct ucred *)CMSG_DATA(part);
    return NULL;
}

bool event_receive(int listener, struct received *received) {
    struct datagram datagram = {0};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct ucred))]; /* no room for descriptors: the kernel closes them */
    } control;
    struct iovec piece = {&datagram, sizeof datagram};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t size = recvmsg(listener, &message, MSG_CMSG_CLOEXEC);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (size < 0)
        die_with_error("cannot receive events");
    const struct ucred *sender = sender_of(&message);
    *received = (struct received){.event = datagram.event, .problem = event_problem(&datagram, (size_t)size)};
    if (sender != NULL)
        received->sender = *sender;
    return true;
}
