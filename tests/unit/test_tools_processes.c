/* Processes that map replaced files, what they listen on, and how known programs are restarted: on children of this
 * test.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "runtime/util.h"
#include "tests/unit/recipes.h"
#include "tools/patch/health.h"
#include "tools/patch/restart.h"
#include "tools/patch/service.h"

static char directory[] = "/tmp/pinion-processes-XXXXXX";
static struct target target;

static int set_up(void **state) {
    (void)state;
    struct mistake mistake;
    size_t size;
    if (mkdtemp(directory) == NULL || !target_of_directory(&target, "/", &mistake))
        return -1;
    cleanup_free char *own = file_read("/proc/self/exe", 1u << 26, &size), *server = xasprintf("%s/server", directory);
    return atomic_file_write(server, 0755, own, size) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    cleanup_free char *command = xasprintf("rm -rf '%s'", directory);
    target_close(&target);
    return system(command); // NOLINT(bugprone-command-processor,cert-env33-c)
}

static int map_and_wait(const char *path, int ready) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    const void *mapped = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    if (mapped == MAP_FAILED)
        return 1;
    close(fd);
    if (fork() == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    else if (write(ready, "", 1) != 1)
        return 1;
    close(ready);
    for (;;)
        pause();
}

/* A child that maps the file, has a child that does so too, and lives until it is told to end. It is another program than
 * this test: what runs the same program as the patch helper is not restarted by it. */
static pid_t start_mapping(const char *path) {
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child != 0) {
        char byte;
        close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        return child;
    }
    cleanup_free char *server = xasprintf("%s/server", directory), *number = xasprintf("%d", ready[1]);
    execl(server, server, path, number, (char *)NULL);
    _exit(1);
}

static void end(pid_t child, const struct stale_process *stale, size_t count) {
    for (size_t i = 0; i < count; i++)
        kill(stale[i].process, SIGKILL);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static struct file_identity identity_of(const char *path) {
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return (struct file_identity){.device = status.st_dev, .inode = status.st_ino};
}

static void replace(const char *path) {
    cleanup_free char *other = xasprintf("%s.new", path);
    assert_true(atomic_file_write(other, 0755, "new", 3));
    assert_int_equal(rename(other, path), 0);
}

static void test_replaced_file_is_found(void **state) {
    (void)state;
    cleanup_free char *path = xasprintf("%s/lib a.so", directory);
    assert_true(atomic_file_write(path, 0755, "old", 3));
    struct file_identity file = identity_of(path);
    pid_t child = start_mapping(path);
    replace(path);
    struct stale_process *stale;
    size_t count = processes_mapping(&target, &file, 1, &stale);
    assert_int_equal(count, 2);
    assert_int_equal(stale[0].process, child);
    assert_int_equal(stale[1].parent, child);
    assert_string_equal(stale[0].mapped, path);
    assert_int_equal(stale[0].file_count, 1);
    assert_true(process_is(child, stale[0].start));
    assert_false(process_is(child, stale[0].start + 1));

    struct file_identity other = identity_of(path);
    struct stale_process *none;
    assert_int_equal(processes_mapping(&target, &other, 1, &none), 0);
    stale_processes_free(none, 0);
    end(child, stale, count);
    assert_false(process_is(child, stale[0].start));
    stale_processes_free(stale, count);
}

/* Somebody has replaced it before, and not restarted who ran it: still it is a version of what is replaced now. */
static void test_version_before_the_replaced_one_is_found(void **state) {
    (void)state;
    if (identity_of(directory).device != target.device) {
        puts("# /tmp is not on the root file system");
        skip();
    }
    cleanup_free char *path = xasprintf("%s/libf.so", directory);
    assert_true(atomic_file_write(path, 0755, "old", 3));
    pid_t child = start_mapping(path);
    replace(path);
    struct file_identity file = identity_of(path);
    file.path = path;
    struct stale_process *stale;
    size_t count = processes_mapping(&target, &file, 1, &stale);
    assert_int_equal(count, 2);
    assert_int_equal(stale[0].process, child);
    end(child, stale, count);
    stale_processes_free(stale, count);
}

static void test_paths_are_the_targets_own(void **state) {
    (void)state;
    struct target below;
    struct mistake mistake;
    assert_true(target_of_directory(&below, directory, &mistake));
    cleanup_free char *in = xasprintf("%s/lib/libpinion.so", directory);
    cleanup_free char *beside = xasprintf("%sx/lib/libpinion.so", directory);
    cleanup_free char *in_seen = processes_inside(&below, in);
    cleanup_free char *beside_seen = processes_inside(&below, beside);
    cleanup_free char *own_seen = processes_inside(&target, in);
    assert_string_equal(in_seen, "/lib/libpinion.so");
    assert_string_equal(beside_seen, beside);
    assert_string_equal(own_seen, in);
    target_close(&below);
}

static void test_deleted_code_is_found_without_a_list(void **state) {
    (void)state;
    if (identity_of(directory).device != target.device) {
        puts("# /tmp is not on the root file system");
        skip();
    }
    cleanup_free char *path = xasprintf("%s/libb.so", directory);
    assert_true(atomic_file_write(path, 0755, "old", 3));
    pid_t child = start_mapping(path);
    struct stale_process *stale;
    size_t count = processes_mapping(&target, NULL, 0, &stale);
    for (size_t i = 0; i < count; i++)
        assert_int_not_equal(stale[i].process, child);
    stale_processes_free(stale, count);
    unlink(path);
    size_t found = 0;
    count = processes_mapping(&target, NULL, 0, &stale);
    for (size_t i = 0; i < count; i++)
        found += stale[i].process == child;
    assert_int_equal(found, 1);
    for (size_t i = 0; i < count; i++)
        if (stale[i].parent == child)
            kill(stale[i].process, SIGKILL);
    end(child, NULL, 0);
    stale_processes_free(stale, count);
}

/* A roll-back puts the very file back under its name: who maps it maps no old code. */
static void test_file_that_came_back_is_not_old(void **state) {
    (void)state;
    cleanup_free char *path = xasprintf("%s/libe.so", directory);
    cleanup_free char *kept = xasprintf("%s/kept", directory);
    assert_true(atomic_file_write(path, 0755, "old", 3));
    assert_int_equal(link(path, kept), 0);
    pid_t child = start_mapping(path);
    replace(path);
    assert_int_equal(rename(kept, path), 0);
    struct stale_process *stale;
    size_t count = processes_mapping(&target, NULL, 0, &stale);
    for (size_t i = 0; i < count; i++)
        assert_int_not_equal(stale[i].process, child);
    end(child, NULL, 0);
    stale_processes_free(stale, count);
}

/* ---- listeners ---- */

static int listen_internet(int family, unsigned *port) {
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } address = {.any.sa_family = (sa_family_t)family};
    socklen_t size = family == AF_INET ? sizeof address.four : sizeof address.six;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (family == AF_INET6)
        address.six.sin6_addr = in6addr_loopback;
    if (fd < 0 || bind(fd, &address.any, size) != 0 || listen(fd, 8) != 0 || getsockname(fd, &address.any, &size) != 0)
        return -1;
    *port = ntohs(family == AF_INET ? address.four.sin_port : address.six.sin6_port);
    return fd;
}

static int listen_local(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static const struct listener *find_listener(const struct listener *list, size_t count, int family, unsigned port) {
    for (size_t i = 0; i < count; i++)
        if (list[i].family == family && list[i].port == port && list[i].process == getpid())
            return &list[i];
    return NULL;
}

static void test_listeners_are_found_and_asked(void **state) {
    (void)state;
    cleanup_free char *path = xasprintf("%s/socket", directory);
    unsigned port = 0, port6 = 0;
    int four = listen_internet(AF_INET, &port), six = listen_internet(AF_INET6, &port6), local = listen_local(path);
    assert_true(process_serves(getpid()));
    char program[4096] = "";
    assert_true(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
    struct stale_process self = {.process = getpid(), .program = program};
    struct listener *list;
    size_t count = processes_listeners(&target, &self, 1, &list);
    const struct listener *found = find_listener(list, count, AF_INET, port);
    assert_non_null(found);
    assert_string_equal(found->address, "0.0.0.0");
    assert_true(listener_answers(&target, found));
    close(four);
    assert_false(listener_answers(&target, found));
    if (six >= 0) {
        found = find_listener(list, count, AF_INET6, port6);
        assert_non_null(found);
        assert_string_equal(found->address, "::1");
        assert_true(listener_answers(&target, found));
        close(six);
        assert_false(listener_answers(&target, found));
    }
    found = find_listener(list, count, AF_UNIX, 0);
    assert_non_null(found);
    assert_string_equal(found->address, path);
    assert_true(listener_answers(&target, found));
    close(local);
    assert_false(listener_answers(&target, found));
    listeners_free(list, count);
}

static struct listener at_port(unsigned port) {
    static char program[] = "server";
    return (struct listener){
        .program = program, .family = AF_INET, .address = "127.0.0.1", .port = port, .network = -1};
}

/* Connections are waiting to be accepted, as many as may. */
static void fill_queue(int fd, unsigned port, int clients[4]) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(listen(fd, 0), 0);
    for (int i = 0; i < 4; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(clients[i], (struct sockaddr *)&address, sizeof address);
    }
}

static void test_who_never_answers_holds_nobody_up(void **state) {
    (void)state;
    unsigned port = 0, silent_port = 0;
    int fd = listen_internet(AF_INET, &port), silent = listen_internet(AF_INET, &silent_port), clients[4];
    fill_queue(silent, silent_port, clients);
    struct listener listeners[] = {at_port(silent_port), at_port(port)};
    assert_int_equal(listeners_answering(&target, listeners, 2, 1),
                     0); /* it takes longer to find out about the first */
    assert_int_equal(listeners_answering(&target, listeners, 2, 60), 1);
    assert_true(listeners[0].port == port && listeners[1].port == silent_port);
    for (int i = 0; i < 4; i++)
        close(clients[i]);
    close(silent);
    close(fd);
}

/* As haproxy does: the kernel goes on telling the name that it was bound to. */
static void test_a_renamed_socket_is_no_address(void **state) {
    (void)state;
    cleanup_free char *bound = xasprintf("%s/socket.tmp", directory);
    cleanup_free char *path = xasprintf("%s/socket.renamed", directory);
    int local = listen_local(bound);
    char program[4096] = "";
    assert_true(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
    struct stale_process self = {.process = getpid(), .program = program};
    struct listener *list;
    size_t count = processes_listeners(&target, &self, 1, &list);
    assert_non_null(find_listener(list, count, AF_UNIX, 0));
    listeners_free(list, count);
    assert_int_equal(rename(bound, path), 0);
    count = processes_listeners(&target, &self, 1, &list);
    assert_null(find_listener(list, count, AF_UNIX, 0));
    listeners_free(list, count);
    close(local);
}

/* ---- health ---- */

static bool check(const char *text, const struct listener *listeners, size_t count, struct mistake *mistake) {
    struct recipe recipe;
    cleanup_free char *whole = xasprintf("%s\nhealth = { timeout = 1; %s };\n", RECIPE_GOOD, text);
    if (!recipe_parse(whole, &recipe, mistake))
        fail_msg("line %u: %s", mistake->line, mistake->text);
    uint64_t outage = 0;
    bool good = health_check(&recipe, &target, listeners, count, 0, &outage, mistake);
    assert_int_equal(good, outage == 0); /* nothing was stopped, and what is well at once was never down */
    recipe_free(&recipe);
    return good;
}

static void test_health_of_command(void **state) {
    (void)state;
    struct mistake mistake = {.line = 0};
    assert_true(check("checks = ( { command = [ \"true\" ]; } );", NULL, 0, &mistake));
    assert_false(check("checks = ( { command = [ \"true\" ]; }, { command = [ \"false\" ]; } );", NULL, 0, &mistake));
    assert_non_null(strstr(mistake.text, "false"));
}

static void test_health_of_listener(void **state) {
    (void)state;
    struct mistake mistake = {.line = 0};
    unsigned port = 0;
    int fd = listen_internet(AF_INET, &port);
    struct listener listener = at_port(port);
    assert_true(check("", &listener, 1, &mistake));
    close(fd);
    assert_false(check("", &listener, 1, &mistake));
    assert_non_null(strstr(mistake.text, "no longer serves 127.0.0.1"));
}

static pid_t serve_once(int fd, const char *answer) {
    pid_t child = fork();
    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        char request[4096];
        int connection = accept(fd, NULL, NULL);
        ssize_t done = read(connection, request, sizeof request);
        done = done > 0 ? write(connection, answer, strlen(answer)) : 0;
        close(connection);
        if (done < 0)
            _exit(1);
    }
}

static void test_health_of_url(void **state) {
    (void)state;
    struct mistake mistake = {.line = 0};
    unsigned port = 0;
    int fd = listen_internet(AF_INET, &port);
    pid_t server = serve_once(fd, "HTTP/1.0 200 Fine\r\n\r\nall is well\n");
    cleanup_free char *good =
        xasprintf("checks = ( { url = \"http://127.0.0.1:%u/\"; contains = \"is well\"; } );", port);
    cleanup_free char *other =
        xasprintf("checks = ( { url = \"http://127.0.0.1:%u/\"; contains = \"is not\"; } );", port);
    cleanup_free char *status = xasprintf("checks = ( { url = \"http://127.0.0.1:%u/\"; status = 204; } );", port);
    assert_true(check(good, NULL, 0, &mistake));
    assert_false(check(other, NULL, 0, &mistake));
    assert_non_null(strstr(mistake.text, "is not in the answer"));
    assert_false(check(status, NULL, 0, &mistake));
    assert_non_null(strstr(mistake.text, "status 200, not 204"));
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    close(fd);
    assert_false(check(good, NULL, 0, &mistake));
    assert_non_null(strstr(mistake.text, "does not answer"));
}

/* ---- ways ---- */

static void test_known_programs(void **state) {
    (void)state;
    const struct restart_row *row = restart_known("/usr/sbin/nginx");
    assert_non_null(row);
    assert_int_equal(row->how, RESTART_UPGRADE);
    assert_string_equal(row->signal, "USR2");
    assert_null(restart_known("/usr/bin/nginx-debug"));
    struct recipe recipe = {0};
    cleanup_free char *known = restart_describe(NULL, &recipe, "/usr/sbin/nginx");
    assert_non_null(strstr(known, "upgrade"));
    cleanup_free char *unknown = restart_describe(&target, &recipe, "/usr/bin/mine");
    assert_non_null(strstr(unknown, "service"));
}

/* A server of which nothing is known is not restarted by guess; what the recipe says is a way. */
static void test_unknown_server_needs_the_recipe(void **state) {
    (void)state;
    cleanup_free char *path = xasprintf("%s/libc.so", directory);
    assert_true(atomic_file_write(path, 0755, "old", 3));
    struct file_identity file = identity_of(path);
    unsigned port = 0;
    int fd = listen_internet(AF_INET, &port);
    fcntl(fd, F_SETFD, 0); /* the children's alone */
    pid_t child = start_mapping(path);
    close(fd);
    struct stale_process *stale;
    struct mistake mistake = {.line = 0};
    size_t count = processes_mapping(&target, &file, 1, &stale);
    assert_int_equal(count, 2);
    struct recipe recipe = {0};
    assert_false(restart_possible(&target, &recipe, stale, count, NULL, &mistake));
    assert_non_null(strstr(mistake.text, "in the recipe"));
    char *left = NULL;
    assert_false(restart_stale(&target, &recipe, stale, count, NULL, 1, &left, &mistake));
    assert_true(process_is(child, stale[0].start));
    struct recipe_restart way = {.program = stale[0].program, .how = RESTART_SIGNAL, .signal = (char[]){"TERM"}};
    recipe.restarts = &way;
    recipe.restart_count = 1;
    assert_true(restart_possible(&target, &recipe, stale, count, NULL, &mistake));
    end(child, stale, count);
    stale_processes_free(stale, count);
}

static void test_units(void **state) {
    (void)state;
    static const struct {
        const char *groups, *unit;
    } rows[] = {
        {"0::/system.slice/nginx.service\n", "/system.slice/nginx.service"},
        {"0::/system.slice/systemd-udevd.service/udev\n", "/system.slice/systemd-udevd.service"},
        {"0::/machine.slice/web.service/payload/system.slice/nginx.service\n",
         "/machine.slice/web.service/payload/system.slice/nginx.service"},
        {"1:name=systemd:/x.service\n0::/system.slice/nginx.service\n", "/system.slice/nginx.service"},
        {"0::/user.slice/user-0.slice/session-1.scope\n", NULL},
        {"0::/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service\n", NULL},
        {"0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", NULL},
        {"0::/init.scope\n", NULL},
        {"10::/x.service\n", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cleanup_free char *unit = service_group(rows[i].groups);
        assert_int_equal(unit == NULL, rows[i].unit == NULL);
        if (unit != NULL)
            assert_string_equal(unit, rows[i].unit);
    }
    assert_null(service_group(NULL));
}

/* A daemon that has not left its process group when its parent ends is not killed with what a command leaves behind. */
static void test_what_a_service_command_starts_stays(void **state) {
    (void)state;
    for (int service = 0; service < 2; service++) {
        const char *const arguments[] = {"/bin/sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!", NULL};
        struct command command = {.arguments = arguments, .timeout_seconds = 10, .service = service};
        struct command_result result;
        struct mistake mistake = {.line = 0};
        assert_true(command_run(&command, &result, &mistake));
        pid_t left = (pid_t)strtol(result.output, NULL, 10);
        assert_true(left > 0);
        int status = kill(left, 0);
        for (int i = 0; i < 500 && !service && status == 0; i++) {
            usleep(10000);
            status = kill(left, 0);
        }
        assert_int_equal(status, service ? 0 : -1);
        kill(left, SIGKILL);
        command_result_free(&result);
    }
}

/* Nobody reaches it: it is left, and named. */
static void test_client_is_left(void **state) {
    (void)state;
    cleanup_free char *path = xasprintf("%s/libd.so", directory);
    assert_true(atomic_file_write(path, 0755, "old", 3));
    struct file_identity file = identity_of(path);
    pid_t child = start_mapping(path);
    struct stale_process *stale;
    struct mistake mistake = {.line = 0};
    size_t count = processes_mapping(&target, &file, 1, &stale);
    struct recipe recipe = {0};
    char *left = NULL;
    assert_true(restart_stale(&target, &recipe, stale, count, NULL, 5, &left, &mistake));
    cleanup_free char *number = xasprintf("(%d)", (int)child);
    assert_non_null(left);
    assert_non_null(strstr(left, number));
    assert_true(process_is(child, stale[0].start));
    free(left);
    end(child, stale, count);
    stale_processes_free(stale, count);
}

int main(int count, char **arguments) {
    if (count == 3)
        return map_and_wait(arguments[1], (int)strtol(arguments[2], NULL, 10));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replaced_file_is_found),
        cmocka_unit_test(test_version_before_the_replaced_one_is_found),
        cmocka_unit_test(test_paths_are_the_targets_own),
        cmocka_unit_test(test_deleted_code_is_found_without_a_list),
        cmocka_unit_test(test_file_that_came_back_is_not_old),
        cmocka_unit_test(test_listeners_are_found_and_asked),
        cmocka_unit_test(test_who_never_answers_holds_nobody_up),
        cmocka_unit_test(test_a_renamed_socket_is_no_address),
        cmocka_unit_test(test_health_of_command),
        cmocka_unit_test(test_health_of_listener),
        cmocka_unit_test(test_health_of_url),
        cmocka_unit_test(test_known_programs),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_unknown_server_needs_the_recipe),
        cmocka_unit_test(test_client_is_left),
        cmocka_unit_test(test_what_a_service_command_starts_stays),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
