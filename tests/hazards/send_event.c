/* Sends to the socket PATH what no program of good will would, and last an event that is well-formed but for what its
 * texts hold. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "runtime/event.h"
#include "tests/hazards/hazard.h"

static int out;

static void send_bytes(const void *bytes, size_t size) {
    if (send(out, bytes, size, 0) != (ssize_t)size)
        dprintf(1, "not sent: %zu bytes\n", size);
}

static struct event good_event(void) {
    struct event event = {.version = EVENT_VERSION, .size = sizeof event, .flags = EVENT_ANOMALY, .pid = 7};
    memcpy(event.magic, EVENT_MAGIC, sizeof event.magic);
    strcpy(event.path, "/bin/\x1b[2J\n\"x\xff");
    strcpy(event.top[0], "read");
    strcpy(event.never_seen[0], "\x1b]0;x\a");
    strcpy(event.risen[0], "pipe");
    strcpy(event.risen[1], "execve");
    event.rises[0] = event.rises[1] = 90;
    event.risen_count = 2;
    event.top_count = event.never_seen_count = event.never_seen_total = 1;
    return event;
}

#define SEND_CHANGED(change)               \
    do {                                   \
        struct event event = good_event(); \
        change;                            \
        send_bytes(&event, sizeof event);  \
    } while (0)

/* With descriptors that the listener must not keep. */
static void send_descriptors(const struct event *event) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(8 * sizeof(int))];
    } control = {0};
    struct iovec piece = {(void *)event, sizeof *event};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header =
        (struct cmsghdr){.cmsg_len = CMSG_LEN(8 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    for (int i = 0; i < 8; i++)
        memcpy(CMSG_DATA(header) + i * sizeof(int), &out, sizeof out);
    EXPECT(sendmsg(out, &message, 0) == sizeof *event);
}

int main(int argument_count, char **arguments) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct event event = good_event();
    char large[60000];
    EXPECT(argument_count == 2);
    strncpy(address.sun_path, arguments[1], sizeof address.sun_path - 1);
    out = socket(AF_UNIX, SOCK_DGRAM, 0);
    EXPECT(connect(out, (struct sockaddr *)&address, sizeof address) == 0);
    memset(large, 'x', sizeof large);
    memcpy(large, &event, sizeof event);
    send_bytes(large, sizeof large);
    send_bytes("", 0);
    send_bytes("x", 1);
    send_bytes(&event, 8);
    send_bytes(&event, sizeof event - 1);
    send_bytes(large, sizeof event + 1);
    SEND_CHANGED(event.version = 2);
    SEND_CHANGED(event.flags = 0);
    SEND_CHANGED(event.flags = 0x80000001);
    SEND_CHANGED(event.top_count = 255);
    SEND_CHANGED(event.never_seen_count = 0);
    SEND_CHANGED(event.risen_count = 3);
    SEND_CHANGED(event.rises[0] = 101);
    SEND_CHANGED(event.program.length = 255);
    SEND_CHANGED(memset(event.path, 'x', sizeof event.path));
    SEND_CHANGED(memset(event.module_path, 'x', sizeof event.module_path));
    SEND_CHANGED(event.path[200] = 'x');
    send_descriptors(&event);
    return 0;
}
