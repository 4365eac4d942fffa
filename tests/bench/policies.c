/* Prepares the policies that the benchmark runs under, from what policygen wrote:
 *
 *   policies calls FILE.policy        adds the allowed values of the path that only exists at run time, and insists that policygen
 *                                     found the others: else the benchmark would measure checks that check nothing
 *   policies sites FILE.policy COUNT  adds sites until there are COUNT of them, as of a program that is much larger
 *
 * Each writes FILE.pinion beside FILE.policy.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/document.h"
#include "runtime/util.h"

static struct constraint *constraint_of(struct site *site, const char *name) {
    for (unsigned i = 0; i < api_table[site->api].argument_count; i++)
        if (strcmp(api_table[site->api].arguments[i].name, name) == 0)
            return site_constraint(site, (uint8_t)i);
    die("%s has no argument \"%s\"", api_table[site->api].name, name);
}

static void add_text(struct constraint *constraint, enum value_kind kind, const char *text, uint32_t constant) {
    constraint_add(constraint,
                   (struct value){.origin = ORIGIN_MANUAL, .kind = kind, .text = xstrdup(text), .constant = constant});
}

static void add_integer(struct constraint *constraint, int64_t number) {
    constraint_add(constraint, (struct value){.origin = ORIGIN_MANUAL, .kind = VALUE_INTEGER, .low = number});
}

static void write_compiled(const struct document *document, const char *text_path) {
    cleanup_free char *stem = xstrndup(text_path, strlen(text_path) - strlen(".policy"));
    cleanup_free char *path = xasprintf("%s.pinion", stem);
    size_t size;
    cleanup_free void *compiled = document_compile(document, &size);
    if (!atomic_file_write(path, 0644, compiled, size))
        die_with_error("cannot write \"%s\"", path);
}

/* ---- calls ---- */

static struct module *module_of(struct document *document, const char *path) {
    for (size_t i = 0; i < document->module_count; i++)
        if (strcmp(document->modules[i].path, path) == 0)
            return &document->modules[i];
    die("the policy of \"%s\" has no module for it", path);
}

/* Whether policygen knows every value of the argument, the text of a path included. */
static bool is_pinned(const struct constraint *constraint) {
    if (constraint->any || constraint->value_count == 0)
        return false;
    return constraint->values[0].kind != VALUE_TEXT || constraint->values[0].constant != 0;
}

static void require_pinned(struct site *site, const char *argument) {
    if (!is_pinned(constraint_of(site, argument)))
        die("policygen did not pin down %s of %s: the measurement would mean nothing", argument,
            api_table[site->api].name);
}

static void allow_copied_path(struct site *site) {
    struct constraint *constraint = constraint_of(site, "path");
    constraint->any = false;
    add_text(constraint, VALUE_TEXT, "/srv/bench/settings.conf", 0);
    add_text(constraint, VALUE_PREFIX, "/srv/bench/uploads/", 0);
    add_text(constraint, VALUE_GLOB, "/srv/bench/pages/*/*.html", 0);
}

static void prepare_calls(struct document *document) {
    struct module *module = module_of(document, document->program);
    unsigned constant = 0, copied = 0, integers = 0, spawn = 0;
    for (size_t i = 0; i < module->site_count; i++) {
        struct site *site = &module->sites[i];
        if (site->api == API_socket) {
            require_pinned(site, "domain");
            require_pinned(site, "type");
            require_pinned(site, "protocol");
            integers++;
        } else if (site->api == API_posix_spawn_file_actions_addopen) {
            require_pinned(site, "fd");
            require_pinned(site, "path");
            require_pinned(site, "flags");
            spawn++;
        } else if (site->api == API_open) {
            require_pinned(site, "flags");
            if (is_pinned(constraint_of(site, "path")))
                constant++;
            else
                allow_copied_path(site), copied++;
        }
    }
    if (integers != 1 || constant != 1 || copied != 1 || spawn != 1)
        die("the program's sites are not those that were written: %u socket, %u open with a constant, %u open, %u "
            "spawn",
            integers, constant, copied, spawn);
}

/* ---- sites ---- */

/* Of every three sites one opens a constant path, one makes a socket, one takes a path that only exists at run time. */
static void add_site(struct module *module, size_t number) {
    static const uint16_t apis[] = {API_open, API_socket, API_unlink};
    /* Places that no call returns to: behind the end of any real code. */
    struct site *site = module_site(module, 0x4000000 + (uint32_t)(number * 16), apis[number % 3]);
    cleanup_free char *path = xasprintf("/srv/bench/file-%zu", number / 8);
    switch (number % 3) {
    case 0:
        add_text(constraint_of(site, "path"), VALUE_TEXT, path, 0x3000000 + (uint32_t)number * 32);
        add_integer(constraint_of(site, "flags"), O_RDONLY | O_CLOEXEC);
        break;
    case 1:
        add_integer(constraint_of(site, "domain"), AF_INET);
        add_integer(constraint_of(site, "type"), SOCK_STREAM | (number % 2 ? SOCK_CLOEXEC : 0));
        add_integer(constraint_of(site, "protocol"), 0);
        break;
    default: constraint_of(site, "path")->any = true;
    }
}

static void add_sites(struct document *document, size_t wanted) {
    size_t present = 0;
    if (document->module_count == 0)
        die("the policy of \"%s\" has no module", document->program);
    for (size_t i = 0; i < document->module_count; i++)
        present += document->modules[i].site_count;
    for (; present < wanted; present++)
        add_site(&document->modules[present % document->module_count], present);
}

int main(int count, char **arguments) {
    struct document document;
    struct mistake mistake;
    if (count < 3)
        die("usage: policies calls FILE.policy, or policies sites FILE.policy COUNT");
    document_init(&document);
    if (!document_read_text(arguments[2], &document, &mistake))
        die("cannot read policy \"%s\" line %u: %s", arguments[2], mistake.line, mistake.text);
    if (strcmp(arguments[1], "calls") == 0)
        prepare_calls(&document);
    else if (strcmp(arguments[1], "sites") == 0 && count > 3)
        add_sites(&document, strtoul(arguments[3], NULL, 10));
    else
        die("unknown command \"%s\"", arguments[1]);
    document_sort(&document);
    write_compiled(&document, arguments[2]);
    document_free(&document);
    return EXIT_FINE;
}
