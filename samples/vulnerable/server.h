/* A vulnerable HTTP server: what its files share. One process, one request at a time, nothing of Pinion in it.
 */
#ifndef VULNERABLE_SERVER_H
#define VULNERABLE_SERVER_H

#include <stddef.h>
#include <stdint.h>

/* The directory of the site, a constant of the program: build.sh may name another one. */
#ifndef SITE
#define SITE "/srv/site"
#endif

struct request {
    int connection;
    const char *method;
    const char *path;  /* without the query */
    const char *query; /* still encoded */
    const char *body;
    size_t body_length;
};

/* The request being answered. */
extern struct request request;

/* The decoded value of a parameter of the query, "" if it is absent; valid until the next request. It may hold
 * any byte, NUL too: `length`, unless NULL, receives the number of bytes. */
const char *parameter(const char *name, size_t *length);
uint64_t number_parameter(const char *name); /* 0x... or decimal */

void respond(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Answers with all that can be read from the descriptor, and closes it. */
void respond_with_descriptor(int descriptor);

/* server.c: ordinary pages. */
void show_index(void);
void show_status(void);
void show_memory_layout(void);
void show_report(void);
void run_script(const char *script);

/* holes.c: pages with a classic hole each. */
void lookup_host(void);
void send_named_file(void);
void receive_upload(void);
void load_plugin(void);
void say_hello(void);
void echo_line(void);
void run_compiled_code(void);

/* hijacked.c: requests that imitate what a memory corruption leaves behind. */
void resume_hijacked_state(void);
void change_memory(void);

#endif
