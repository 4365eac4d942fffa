/* The classic holes. Each function is as someone in a hurry would write it; the comment says what is wrong.
 */
#include "lookup.h"
#include "server.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Command injection: whatever the visitor names becomes part of a shell command in lookup.c. */
void lookup_host(void) {
    char line[256];
    if (look_up(parameter("host", NULL), line, sizeof line))
        respond(200, "%s", line);
    else
        respond(500, "lookup failed: %s\n", strerror(errno));
}

/* Path traversal: "../../etc/passwd" leaves the directory. */
void send_named_file(void) {
    char path[512];
    snprintf(path, sizeof path, SITE "/pages/%s", parameter("name", NULL));
    int file = open(path, O_RDONLY);
    if (file < 0) {
        respond(404, "%s: %s\n", path, strerror(errno));
        return;
    }
    respond_with_descriptor(file);
}

/* Arbitrary upload: nobody looks at the path. */
void receive_upload(void) {
    int file = open(parameter("path", NULL), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0) {
        respond(500, "cannot store: %s\n", strerror(errno));
        return;
    }
    ssize_t written = write(file, request.body, request.body_length);
    close(file);
    /* A shell command that is a constant of the program: no hole. */
    if (system("touch " SITE "/changed"))
        respond(500, "cannot note the change\n");
    else
        respond(200, "stored %zd bytes\n", written);
}

/* Module loading: the constructor of any shared object runs in this process. */
void load_plugin(void) {
    void *plugin = dlopen(parameter("path", NULL), RTLD_NOW);
    if (!plugin) {
        respond(500, "cannot load the plugin\n");
        return;
    }
    const char *(*describe)(void) = (const char *(*)(void))dlsym(plugin, "describe");
    respond(200, "%s\n", describe ? describe() : "a plugin that says nothing");
}

static void greet(const char *name) {
    respond(200, "Hello, %s!\n", name);
}

/* Overwritten function pointer: a name of more than 64 bytes goes on into the pointer behind it. */
void say_hello(void) {
    static struct {
        char name[64];
        void (*greet)(const char *name);
    } visitor;
    size_t length;
    const char *name = parameter("name", &length);
    memset(&visitor, 0, sizeof visitor);
    visitor.greet = greet;
    memcpy(visitor.name, name, length);
    visitor.greet(visitor.name);
}

/* Stack overflow: a body of more than 64 bytes goes on into the return address. */
void echo_line(void) {
    char line[64];
    memcpy(line, request.body, request.body_length);
    respond(200, "%.64s\n", line);
}

/* A just-in-time compiler whose input is not checked: the body is the code, the request names the protection. */
void run_compiled_code(void) {
    size_t size = 64 * 1024;
    char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || request.body_length > size) {
        respond(500, "no memory for code\n");
        return;
    }
    memcpy(page, request.body, request.body_length);
    if (mprotect(page, size, (int)number_parameter("protection"))) {
        respond(500, "cannot protect the code: %s\n", strerror(errno));
        return;
    }
    ((void (*)(void))page)();
    respond(200, "compiled code at %p has run\n", (void *)page);
}
