/* A server that leaves whoever started it, as daemons do: daemon PORT. It answers every visitor with a page, and looks up
 * a name in the sample server's library, so that it runs it.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool look_up(const char *host, char *line, size_t size);

static const char page[] = "HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nIt serves\n";

int main(int count, char **arguments) {
    char line[256];
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (count < 2)
        return 2;
    address.sin_port = htons((unsigned short)atoi(arguments[1]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 64) != 0 ||
        daemon(0, 0) != 0)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (recv(connection, line, sizeof line, 0) > 0 && strncmp(line, "GET /lookup", 11) == 0)
            look_up("localhost", line, sizeof line);
        send(connection, page, sizeof page - 1, 0);
        shutdown(connection, SHUT_WR);
        close(connection);
    }
}
