/* A small HTTP server with the classic holes, to be attacked. It listens on 127.0.0.1 only: never run it where
 * others can reach it. Build it with build.sh, attack it with ./attack.
 *
 *   server [PORT]      0 or nothing: any free port; the first line of output names it
 *
 * Ordinary pages: /  /status  /report  /leak.  Holes, each with the page that has it:
 *
 *   /lookup?host=         command injection: the value becomes part of a shell command
 *   /file?name=           path traversal: the value is appended to the name of a constant directory
 *   /upload?path=         arbitrary upload: the body is written to the file that the request names
 *   /plugin?path=         module loading: dlopen of the path that the request names
 *   /hello?name=          overwritten function pointer: a long name reaches the pointer behind the buffer
 *   /echo                 stack overflow: a long body reaches the return address (built without stack protector)
 *   /compiled?protection= a just-in-time compiler that runs the body as code, in pages of any protection
 *   /leak                 information leak: the memory layout, so that an attack can compute addresses
 *
 * Requests that imitate the state in which an attack has already taken over (hijacked.c):
 *
 *   /hijacked?stack=      sets the registers and the stack to the body, and goes on from there
 *   /memory?change=       changes memory that should never change: the shim's, or a library's
 */
#include "server.h"
#include "reload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct request request;

/* Not static, so that an attacker who has a copy of the program finds its address in the symbol table. */
char request_bytes[64 * 1024];
static char decoded[64 * 1024];
static size_t decoded_length;

static const struct page {
    const char *path;
    void (*answer)(void);
} pages[] = {
    {"/", show_index},
    {"/status", show_status},
    {"/report", show_report},
    {"/leak", show_memory_layout},
    {"/lookup", lookup_host},
    {"/file", send_named_file},
    {"/upload", receive_upload},
    {"/plugin", load_plugin},
    {"/hello", say_hello},
    {"/echo", echo_line},
    {"/compiled", run_compiled_code},
    {"/hijacked", resume_hijacked_state},
    {"/memory", change_memory},
};

static void die(const char *what) {
    fprintf(stderr, "server: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void send_all(const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = write(request.connection, bytes, length);
        if (sent <= 0)
            return;
        bytes += sent;
        length -= (size_t)sent;
    }
}

void respond(int status, const char *format, ...) {
    char text[4096];
    int header = snprintf(text, sizeof text, "HTTP/1.0 %d %s\r\nContent-Type: text/plain\r\n\r\n", status,
                          status == 200 ? "OK" : "Error");
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + header, sizeof text - (size_t)header, format, arguments);
    va_end(arguments);
    send_all(text, strlen(text));
}

void respond_with_descriptor(int descriptor) {
    char bytes[4096];
    ssize_t length;
    respond(200, "%s", "");
    while ((length = read(descriptor, bytes, sizeof bytes)) > 0)
        send_all(bytes, (size_t)length);
    close(descriptor);
}

static int digit(char c) {
    const char *digits = "0123456789abcdef", *found = c ? strchr(digits, c | 0x20) : NULL;
    return found ? (int)(found - digits) : 0;
}

const char *parameter(const char *name, size_t *length) {
    size_t name_length = strlen(name);
    const char *value = request.query;
    while (value && !(strncmp(value, name, name_length) == 0 && value[name_length] == '=')) {
        value = strchr(value, '&');
        value = value ? value + 1 : NULL;
    }
    char *start = decoded + decoded_length, *end = start;
    for (const char *c = value ? value + name_length + 1 : ""; *c && *c != '&'; c++) {
        if (*c == '%' && c[1] && c[2]) {
            *end++ = (char)(digit(c[1]) << 4 | digit(c[2]));
            c += 2;
        } else {
            *end++ = *c;
        }
    }
    *end = '\0';
    if (length)
        *length = (size_t)(end - start);
    decoded_length += (size_t)(end - start) + 1;
    return start;
}

uint64_t number_parameter(const char *name) {
    return strtoull(parameter(name, NULL), NULL, 0);
}

void show_index(void) {
    int file = open(SITE "/pages/index.html", O_RDONLY);
    if (file < 0) {
        respond(500, "%s\n", strerror(errno));
        return;
    }
    respond_with_descriptor(file);
}

/* A shell command that is a constant of the program: no attack, and Pinion lets it pass. */
void show_status(void) {
    char line[128] = "";
    FILE *date = popen("date -u", "r");
    if (date) {
        if (!fgets(line, sizeof line, date))
            line[0] = '\0';
        pclose(date);
    }
    respond(200, "up and serving, %s", line);
}

void show_memory_layout(void) {
    int file = open("/proc/self/maps", O_RDONLY);
    if (file < 0) {
        respond(500, "%s\n", strerror(errno));
        return;
    }
    respond_with_descriptor(file);
}

/* The only place of the program that calls execve, and always with the same shell. */
void run_script(const char *script) {
    char *arguments[] = {"sh", (char *)script, NULL};
    pid_t child = fork();
    if (child == 0) {
        dup2(request.connection, STDOUT_FILENO);
        execve("/bin/sh", arguments, environ);
        dprintf(STDOUT_FILENO, "cannot run %s: %s\n", script, strerror(errno));
        _exit(127);
    }
    if (child > 0)
        waitpid(child, NULL, 0);
}

void show_report(void) {
    respond(200, "%s", "");
    run_script(SITE "/scripts/report.sh");
}

/* Reads header and body into request_bytes and splits the request line. */
static bool read_request(void) {
    size_t have = 0, body_length = 0;
    char *body = NULL;
    while (!body || (size_t)(request_bytes + have - body) < body_length) {
        ssize_t length = read(request.connection, request_bytes + have, sizeof request_bytes - 1 - have);
        if (length <= 0)
            return false;
        have += (size_t)length;
        request_bytes[have] = '\0';
        if (!body && (body = strstr(request_bytes, "\r\n\r\n"))) {
            *body = '\0';
            body += 4;
            const char *header = strcasestr(request_bytes, "\r\nContent-Length:");
            body_length = header ? strtoul(strchr(header, ':') + 1, NULL, 10) : 0;
        }
    }
    request.body = body;
    request.body_length = body_length;
    decoded_length = 0;
    char *rest = request_bytes;
    request.method = strsep(&rest, " ");
    char *target = strsep(&rest, " ");
    if (!target)
        return false;
    request.path = strsep(&target, "?");
    request.query = target;
    return true;
}

static void answer(void) {
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        if (strcmp(request.path, pages[i].path) == 0) {
            pages[i].answer();
            return;
        }
    }
    respond(404, "no such page\n");
}

static int listen_on(uint16_t port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t length = sizeof address;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0)
        die("socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64) ||
        getsockname(listener, (struct sockaddr *)&address, &length))
        die("listen");
    printf("listening on 127.0.0.1:%u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(int argc, char **argv) {
    int listener = inherited_listener();
    if (listener < 0)
        listener = listen_on(argc > 1 ? (uint16_t)atoi(argv[1]) : 0);
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        wait_for_visitor(listener);
        request.connection = accept(listener, NULL, NULL);
        if (request.connection < 0)
            continue;
        if (read_request())
            answer();
        close(request.connection);
    }
}
