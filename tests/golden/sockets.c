/* Socket addresses that are built in the frame, and what may have happened to them.
 * build: gcc -O0 -o $out $name.c
 * build: gcc -O1 -o $out $name.c
 * build: gcc -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -o $out $name.c
 * build: gcc -Os -o $out $name.c
 * build: gcc -O3 -no-pie -o $out $name.c
 * build: clang -O0 -o $out $name.c
 * build: clang -O1 -o $out $name.c
 * build: clang -O2 -D_FORTIFY_SOURCE=2 -o $out $name.c
 * build: clang -O3 -o $out $name.c
 * reasons: ignored
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef __clang__
#define SEPARATE __attribute__((noinline))
#else
#define SEPARATE __attribute__((noinline, noipa))
#endif

volatile int number;
const char *volatile text;
void *kept;

SEPARATE void keep(void *address) {
    kept = address;
}

SEPARATE int whole(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    return connect(1, (struct sockaddr *)&address, sizeof address);
}
SEPARATE int cleared(void) {
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(81);
    return bind(2, (struct sockaddr *)&address, sizeof address);
}
SEPARATE int unknown_port(void) {
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((unsigned short)number);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return bind(3, (struct sockaddr *)&address, sizeof address);
}
SEPARATE int translated_host(void) {
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(84);
    if (inet_pton(AF_INET, text, &address.sin_addr) != 1)
        return -1;
    return connect(4, (struct sockaddr *)&address, sizeof address);
}
SEPARATE int uncleared(void) {
    struct sockaddr_in address;
    address.sin_family = AF_INET;
    return connect(5, (struct sockaddr *)&address, sizeof address);
}
SEPARATE int version6(void) {
    struct sockaddr_in6 address;
    memset(&address, 0, sizeof address);
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(86);
    return bind(6, (struct sockaddr *)&address, sizeof address);
}
SEPARATE int local(void) {
    struct sockaddr_un address;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    strcpy(address.sun_path, "/run/local.socket");
    return bind(7, (struct sockaddr *)&address, sizeof address);
}
/* The length may cut the path short. */
SEPARATE int local_cut(void) {
    struct sockaddr_un address;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    strcpy(address.sun_path, "/run/cut.socket");
    return bind(8, (struct sockaddr *)&address, (socklen_t)number);
}
SEPARATE int abstract(void) {
    struct sockaddr_un address;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    strcpy(address.sun_path + 1, "abstract");
    return bind(9, (struct sockaddr *)&address, sizeof address);
}
SEPARATE int either(void) {
    union {
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr any;
    } address;
    memset(&address, 0, sizeof address);
    if (number > 3) {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(90);
    } else {
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons(91);
    }
    return bind(10, &address.any, sizeof address);
}
SEPARATE int handed_out(void) {
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    keep(&address);
    return connect(11, (struct sockaddr *)&address, sizeof address);
}
SEPARATE int accepted(void) {
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    getpeername(12, (struct sockaddr *)&address, &length);
    return connect(12, (struct sockaddr *)&address, length);
}
SEPARATE int nowhere(void) {
    return connect(13, NULL, 0) + (int)sendto(13, "x", 1, 0, NULL, 0);
}
SEPARATE int through_message(void) {
    struct sockaddr_in address;
    struct msghdr message;
    memset(&address, 0, sizeof address);
    memset(&message, 0, sizeof message);
    address.sin_family = AF_INET;
    address.sin_port = htons(514);
    message.msg_name = &address;
    message.msg_namelen = sizeof address;
    return (int)sendmsg(14, &message, 0);
}
SEPARATE int indexed(void) {
    struct sockaddr_in address[2];
    memset(address, 0, sizeof address);
    address[0].sin_family = AF_INET;
    ((char *)address)[number & 31] = 1;
    return connect(15, (struct sockaddr *)address, sizeof address[0]);
}

int main(int count, char **list) {
    number = count;
    text = list[0];
    return whole() + cleared() + unknown_port() + translated_host() + uncleared() + version6() + local() + local_cut() +
           abstract() + either() + handed_out() + accepted() + nowhere() + through_message() + indexed();
}
