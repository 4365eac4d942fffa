/* The fields of getaddrinfo's nodes, as far as the C library bounds them and nothing may have changed them.
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
#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __clang__
#define SEPARATE __attribute__((noinline))
#else
#define SEPARATE __attribute__((noinline, noipa))
#endif

volatile int number;
const char *volatile host;
void *kept;
struct addrinfo *list_of_others;

SEPARATE void keep(void *address) {
    kept = address;
}
SEPARATE void look(int descriptor) {
    number = descriptor;
    if (kept != NULL)
        *(struct addrinfo **)kept = list_of_others;
}
SEPARATE void change(struct addrinfo *node) {
    node->ai_socktype = number;
}

SEPARATE int walk(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *node;
    int descriptor = -1;
    if (getaddrinfo(host, "80", &hints, &list) != 0)
        return -1;
    for (node = list; node != NULL && descriptor < 0; node = node->ai_next) {
        descriptor = socket(node->ai_family, node->ai_socktype, node->ai_protocol);
        if (descriptor >= 0 && connect(descriptor, node->ai_addr, node->ai_addrlen) != 0) {
            close(descriptor);
            descriptor = -1;
        }
    }
    freeaddrinfo(list);
    return descriptor;
}
SEPARATE int narrow(void) {
    struct addrinfo hints, *list;
    char port[16];
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_INET6;
    hints.ai_socktype = SOCK_DGRAM;
    snprintf(port, sizeof port, "%d", number);
    if (getaddrinfo(host, port, &hints, &list) != 0)
        return -1;
    ((struct sockaddr_in6 *)list->ai_addr)->sin6_port = htons(53);
    int descriptor = socket(list->ai_family, list->ai_socktype, list->ai_protocol);
    freeaddrinfo(list);
    return descriptor;
}
SEPARATE int no_hints(void) {
    struct addrinfo *list;
    if (getaddrinfo(host, "1", NULL, &list) != 0)
        return -1;
    int descriptor = socket(list->ai_family, list->ai_socktype, list->ai_protocol);
    freeaddrinfo(list);
    return descriptor;
}
/* The family is bounded whatever the hints say, the protocol by the type. */
SEPARATE int unknown_hints(void) {
    struct addrinfo hints, *list;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = number;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_protocol = number;
    if (getaddrinfo(host, "2", &hints, &list) != 0)
        return -1;
    int descriptor = socket(list->ai_family, list->ai_socktype, list->ai_protocol);
    freeaddrinfo(list);
    return descriptor;
}
SEPARATE int raw(void) {
    struct addrinfo hints, *list;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_RAW;
    hints.ai_protocol = number;
    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return -1;
    int descriptor = socket(list->ai_family, list->ai_socktype, list->ai_protocol);
    freeaddrinfo(list);
    return descriptor;
}
SEPARATE int echoed(void) {
    struct addrinfo hints, *list;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_RAW;
    hints.ai_protocol = IPPROTO_ICMP;
    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return -1;
    int descriptor = socket(list->ai_family, list->ai_socktype, list->ai_protocol);
    freeaddrinfo(list);
    return descriptor;
}

/* ---- From here on nothing may be said: socketpair tells these from the others ---- */

#define FIELDS(node) socketpair((node)->ai_family, (node)->ai_socktype, (node)->ai_protocol, pair)

SEPARATE int written(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int pair[2];
    if (getaddrinfo(host, "3", &hints, &list) != 0)
        return -1;
    list->ai_family = atoi(host);
    return socketpair(list->ai_family, SOCK_STREAM, 0, pair);
}
SEPARATE int written_in_loop(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *node;
    int pair[2];
    if (getaddrinfo(host, "4", &hints, &list) != 0)
        return -1;
    for (node = list; node != NULL; node = node->ai_next) {
        if (FIELDS(node) == 0)
            return pair[0];
        if (node->ai_next != NULL)
            memcpy(&node->ai_next->ai_family, (void *)host, 12);
    }
    return -1;
}
SEPARATE int handed_out(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int pair[2];
    if (getaddrinfo(host, "5", &hints, &list) != 0)
        return -1;
    change(list);
    return FIELDS(list);
}
SEPARATE int stored(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int pair[2];
    if (getaddrinfo(host, "6", &hints, &list) != 0)
        return -1;
    list_of_others = list->ai_next;
    look(2);
    return FIELDS(list);
}
/* Somebody else may put another list into its place. */
SEPARATE int place_known(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int pair[2];
    keep(&list);
    if (getaddrinfo(host, "7", &hints, &list) != 0)
        return -1;
    look(3);
    return FIELDS(list);
}
SEPARATE int part_of_structure(void) {
    struct {
        long number;
        struct addrinfo *list;
        struct addrinfo hints;
    } all;
    int pair[2];
    memset(&all, 0, sizeof all);
    all.hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host, "8", &all.hints, &all.list) != 0)
        return -1;
    keep(&all);
    look(4);
    return FIELDS(all.list);
}
/* getaddrinfo leaves the place alone where it fails. */
SEPARATE int another_before(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = list_of_others;
    int pair[2];
    (void)!getaddrinfo(host, "9", &hints, &list);
    return FIELDS(list);
}
SEPARATE int another_list(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *node;
    int pair[2];
    if (getaddrinfo(host, "10", &hints, &list) != 0)
        return -1;
    node = number != 0 ? list : list_of_others;
    return FIELDS(node);
}
SEPARATE int into_heap(struct addrinfo **place) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int pair[2];
    if (getaddrinfo(host, "11", &hints, place) != 0)
        return -1;
    look(5);
    return FIELDS(*place);
}
SEPARATE int in_array(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct {
        int number;
        struct addrinfo *list;
    } table[3];
    int pair[2];
    if (getaddrinfo(host, "12", &hints, &table[0].list) != 0)
        return -1;
    for (int i = 0; i < number; i++) {
        table[i].number = i;
        table[i].list = list_of_others;
    }
    return FIELDS(table[0].list);
}
SEPARATE int entered_twice(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *volatile list = NULL, *made;
    jmp_buf again;
    int pair[2];
    if (setjmp(again) == 0) {
        if (getaddrinfo(host, "13", &hints, &made) != 0)
            return -1;
        list = made;
        keep(again);
        look(6);
    }
    return FIELDS(list);
}
SEPARATE int type_unknown(void) {
    struct addrinfo hints, *list;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = number;
    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return -1;
    return socket(AF_UNIX, list->ai_socktype, 0);
}

int main(int argc, char **argv) {
    host = argv[0];
    number = argc;
    return walk() + narrow() + no_hints() + unknown_hints() + raw() + echoed() + written() + written_in_loop() +
           handed_out() + stored() + place_known() + part_of_structure() + another_before() + another_list() +
           into_heap(malloc(sizeof(void *))) + in_array() + entered_twice() + type_unknown();
}
