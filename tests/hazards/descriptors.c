/* Closes every descriptor, takes all the low numbers for a file of its own, and commits violations: no line of the log may
 * reach that file or a client.
 *
 *   descriptors FILE loop|range|dup2|daemon
 */
#include <fcntl.h>
#include <sys/socket.h>

#include "tests/hazards/hazard.h"

int main(int count, char **arguments) {
    char text[16];
    int client[2];
    EXPECT(count == 3);
    if (strcmp(arguments[2], "loop") == 0)
        for (int i = 0; i < 1024; i++)
            close(i);
    else if (strcmp(arguments[2], "range") == 0)
        EXPECT(close_range(0, ~0U, 0) == 0);
    if (strcmp(arguments[2], "daemon") == 0) {
        EXPECT(close_range(3, ~0U, 0) == 0);
        return open("/proc/self/mem", O_RDWR) >= 0;
    }
    int file = open(arguments[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, client) != 0)
        return 2;
    for (int i = 0; i < 400; i++)
        if (i != file && i != client[0] && i != client[1] && dup2(i % 2 ? file : client[0], i) != i)
            return 3;
    for (int i = 0; i < 10; i++)
        if (open("/proc/self/mem", O_RDWR) >= 0)
            return 4;
    if (recv(client[1], text, sizeof text, 0) >= 0 || lseek(file, 0, SEEK_END) != 0)
        return 5;
    return 0;
}
