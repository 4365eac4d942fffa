/* Start-up: finds the real functions, the modules and the policy, reads the settings, seals everything. Runs once,
 * from the constructor or from the first call of a stub, whichever comes first. Nothing heavy: a dozen system calls.
 */
#include <asm/errno.h>
#include <asm/stat.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <stddef.h>
#include <sys/auxv.h>

#include "preload/clock.h"
#include "preload/event.h"
#include "preload/imports.h"
#include "preload/libc.h"
#include "preload/log.h"
#include "preload/modules.h"
#include "preload/paths.h"
#include "preload/raw.h"
#include "preload/resolve.h"
#include "preload/stack.h"
#include "preload/state.h"
#include "runtime/counts.h"

#define DEFAULT_POLICY_DIRECTORY "/etc/pinion"
#define POLICY_SUFFIX ".pinion"

union sealed_state pinion_sealed_state __attribute__((aligned(PAGE_BYTES)));

_Static_assert(sizeof pinion_sealed_state % PAGE_BYTES == 0, "whole pages are sealed");

/* ---- text that is kept ---- */

static char *keep(struct state *state, const char *head, const char *tail) {
    size_t head_length = strlen(head), tail_length = strlen(tail);
    if (head_length + tail_length >= sizeof state->text - state->text_used)
        return NULL;
    char *text = state->text + state->text_used;
    memcpy(text, head, head_length);
    memcpy(text + head_length, tail, tail_length + 1);
    state->text_used += (uint32_t)(head_length + tail_length + 1);
    return text;
}

/* A start that cannot keep its promises ends the program: fail closed, and say so. */
static void refuse_to_start(enum reason reason, const char *detail) __attribute__((noreturn));
static void refuse_to_start(enum reason reason, const char *detail) {
    log_process(reason, VERDICT_KILL, detail);
    end_process();
}

/* ---- settings ---- */

struct settings {
    const char *policy, *policy_directory, *log, *mode, *record, *counts, *interval, *events, *model, *preload;
};

static const struct {
    const char *name; /* with '=' */
    size_t offset;    /* in struct settings */
} setting_names[] = {
    {"PINION_POLICY=", offsetof(struct settings, policy)},
    {"PINION_POLICY_DIR=", offsetof(struct settings, policy_directory)},
    {"PINION_LOG=", offsetof(struct settings, log)},
    {"PINION_MODE=", offsetof(struct settings, mode)},
    {"PINION_RECORD=", offsetof(struct settings, record)},
    {"PINION_COUNTS=", offsetof(struct settings, counts)},
    {"PINION_INTERVAL=", offsetof(struct settings, interval)},
    {"PINION_EVENTS=", offsetof(struct settings, events)},
    {"PINION_MODEL=", offsetof(struct settings, model)},
    {"LD_PRELOAD=", offsetof(struct settings, preload)},
};

#define SETTING_COUNT (sizeof setting_names / sizeof setting_names[0])

_Static_assert(SETTING_COUNT - 1 <= INHERITED_MAX, "every PINION_ setting is handed on");

/* The entry's place in setting_names, or SETTING_COUNT. */
static unsigned setting_of(const char *entry) {
    unsigned i = 0;
    while (i < SETTING_COUNT && strncmp(entry, setting_names[i].name, strlen(setting_names[i].name)) != 0)
        i++;
    return i;
}

/* A program that gains privilege by being executed must not be told by its caller how it is protected. */
static bool is_privileged(void) {
    return getauxval != NULL && getauxval(AT_SECURE) != 0;
}

/* The vector that the kernel put on the stack. Under glibc this may run before libc has set environ, under musl
 * environ is set before any constructor. */
static char **first_environment(void) {
    if (&__libc_stack_end == NULL)
        return &environ != NULL ? environ : NULL;
    uint64_t *argument_count = __libc_stack_end;
    return (char **)(argument_count + *argument_count + 2);
}

static void read_settings(struct state *state, struct settings *settings) {
    char **entry = first_environment();
    bool privileged = is_privileged();
    unsigned seen = 0;
    for (; entry != NULL && *entry != NULL; entry++) {
        unsigned i = (*entry)[0] == 'P' || (*entry)[0] == 'L' ? setting_of(*entry) : SETTING_COUNT;
        if (i == SETTING_COUNT || seen & 1u << i)
            continue;
        seen |= 1u << i;
        if (!privileged)
            *(const char **)((char *)settings + setting_names[i].offset) = *entry + strlen(setting_names[i].name);
        if ((*entry)[0] != 'P')
            continue;
        const char *kept = keep(state, *entry, "");
        if (kept == NULL)
            refuse_to_start(REASON_BAD_SETTING, "the PINION_ variables are too long");
        state->inherited[state->inherited_count++] = kept;
    }
    if (entry != NULL)
        state->environment_end = (uint64_t)entry;
}

static const char *base_name(const char *path, const char *end) {
    const char *base = path;
    for (; path < end; path++)
        if (*path == '/')
            base = path + 1;
    return base;
}

/* The entry of LD_PRELOAD that named this library. */
static void find_shim_path(struct state *state, const char *preload, const char *own_name) {
    const char *own = base_name(own_name, own_name + strlen(own_name));
    while (preload != NULL && *preload != '\0') {
        const char *stop = preload;
        while (*stop != '\0' && *stop != ':' && *stop != ' ')
            stop++;
        const char *base = base_name(preload, stop);
        if ((size_t)(stop - base) == strlen(own) && strncmp(base, own, (size_t)(stop - base)) == 0) {
            char path[PATH_BYTES], absolute[PATH_BYTES];
            size_t length = (size_t)(stop - preload);
            if (length >= sizeof path)
                return;
            memcpy(path, preload, length);
            path[length] = '\0';
            /* A relative path would mean another file to a child in another directory. */
            if (path[0] != '/' && strchr(path, '/') != NULL && path_resolve(AT_FDCWD, path, absolute))
                memcpy(path, absolute, sizeof path);
            state->preload = keep(state, "LD_PRELOAD=", path);
            state->shim_path = state->preload != NULL ? state->preload + strlen("LD_PRELOAD=") : NULL;
            return;
        }
        preload = *stop != '\0' ? stop + 1 : stop;
    }
}

/* ---- the program ---- */

static void cut_suffix(char *text, size_t length, const char *suffix) {
    size_t suffix_length = strlen(suffix);
    if (length > suffix_length && strcmp(text + length - suffix_length, suffix) == 0)
        text[length - suffix_length] = '\0';
}

/* A program that was deleted keeps its policy: the build-id decides whether it fits.
 *
 * The kernel's word for it, not the caller's: argv[0] is whatever the parent liked. Started as "ld.so program" there
 * is no interpreter, /proc/self/exe is the loader, and only the loader knows the name. */
static void find_program(struct state *state, const struct link_map *first) {
    char path[PATH_BYTES];
    const char *name = getauxval != NULL ? (const char *)getauxval(AT_EXECFN) : NULL;
    bool by_loader = getauxval != NULL && getauxval(AT_BASE) == 0;
    long length = by_loader ? -1 : raw(__NR_readlink, "/proc/self/exe", path, sizeof path - 1);
    if (!raw_failed(length)) {
        path[length] = '\0';
        cut_suffix(path, (size_t)length, " (deleted)");
        state->program_path = keep(state, path, "");
    } else if (name != NULL) {
        state->program_path = keep(state, path_resolve(AT_FDCWD, name, path) ? path : name, "");
    }
    for (uint64_t i = 0; state->modules != NULL && i < state->modules->count; i++)
        if (state->modules->modules[i].link == first)
            state->program = state->modules->modules[i].identity;
}

/* ---- the policy ---- */

/* "/usr/sbin/nginx" -> "<directory>/usr.sbin.nginx.pinion", as policy_file_stem of the tools has it. */
static bool policy_name(const char *directory, const char *program, char *name, size_t size) {
    size_t used = strlen(directory), program_length = strlen(program);
    if (used + program_length + sizeof POLICY_SUFFIX + 1 > size || program_length < 2)
        return false;
    memcpy(name, directory, used);
    name[used++] = '/';
    for (const char *from = program + (program[0] == '/'); *from != '\0'; from++)
        name[used++] = *from == '/' ? '.' : *from;
    memcpy(name + used, POLICY_SUFFIX, sizeof POLICY_SUFFIX);
    return true;
}

/* Returns NULL when the policy is in force, or why it is not. */
static const char *use_policy(struct state *state, int descriptor) {
    struct stat status = {0};
    if (raw(__NR_fstat, descriptor, &status) != 0 || (status.st_mode & 0170000) != 0100000)
        return "the policy is not a file";
    if (status.st_mode & 022)
        return "the policy is writable by group or others: chmod go-w";
    if (status.st_uid != 0 && status.st_uid != (uint32_t)raw(__NR_geteuid))
        return "the policy belongs to another user";
    if (status.st_size < (long)sizeof(struct policy_header) || status.st_size > POLICY_MAX_BYTES)
        return "the policy has an impossible size";
    long pages = raw(__NR_mmap, 0, status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (raw_failed(pages))
        return "the policy cannot be mapped";
    const char *problem = policy_validate((const void *)pages, (size_t)status.st_size);
    if (problem != NULL)
        return problem;
    state->policy = (const struct policy_header *)pages;
    state->policy_bytes = (uint64_t)status.st_size;
    state->policy_device = status.st_dev;
    state->policy_inode = status.st_ino;
    state->constraints = policy_section(state->policy, state->policy->constraints);
    state->integers = policy_section(state->policy, state->policy->integers);
    state->strings = policy_section(state->policy, state->policy->strings);
    return NULL;
}

/* While a patch is brought in, a program may be one of two builds: the policy then has both as modules of its path. */
static bool is_for(const struct policy_header *policy, const struct identity *program) {
    if (identity_equal(&policy->program, program))
        return true;
    const char *path = policy_text(policy, policy->program_path);
    const struct policy_module *modules = policy_section(policy, policy->modules);
    for (uint32_t i = 0; i < policy->modules.count; i++)
        if (identity_equal(&modules[i].identity, program) && strcmp(policy_text(policy, modules[i].path), path) == 0)
            return true;
    return false;
}

/* The mapping is private and read-only, but follows its file: guard_path keeps this process and its children from
 * writing to it. Who else may write it could as well replace it before the next start. */
static void load_policy(struct state *state, const struct settings *settings) {
    char name[2 * PATH_BYTES];
    const char *path = settings->policy;
    if (path == NULL && state->program_path != NULL &&
        policy_name(state->policy_directory, state->program_path, name, sizeof name))
        path = name;
    if (path == NULL)
        return;
    long opened = raw(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
    bool absent = opened == -ENOENT || opened == -ENOTDIR || opened == -ENAMETOOLONG;
    if (absent && settings->policy == NULL)
        return;
    if (raw_failed(opened))
        refuse_to_start(REASON_BAD_POLICY, "the policy cannot be opened");
    const char *problem = use_policy(state, (int)opened);
    raw(__NR_close, opened);
    if (problem != NULL)
        refuse_to_start(REASON_BAD_POLICY, problem);
    if (!is_for(state->policy, &state->program)) {
        /* One file given for all: it holds for the program it names, the others have none. */
        const char *meant = policy_text(state->policy, state->policy->program_path);
        if (settings->policy != NULL && state->program_path != NULL && strcmp(meant, state->program_path) != 0) {
            state->policy = NULL;
            return;
        }
        refuse_to_start(REASON_STALE_POLICY, meant);
    }
}

/* ---- modes ---- */

static void apply_policy(struct state *state, const char *mode) {
    const struct policy_header *policy = state->policy;
    state->mode = policy != NULL ? policy->mode : MODE_ENFORCE;
    state->on_violation = policy != NULL ? policy->on_violation : VERDICT_LOG;
    state->on_broken_stack = policy != NULL ? policy->on_broken_stack : VERDICT_KILL;
    state->on_unknown_stack = policy != NULL ? policy->on_unknown_stack : VERDICT_ALLOW;
    state->on_unlisted_module = policy != NULL ? policy->on_unlisted_module : VERDICT_ALLOW;
    state->on_anonymous_code = policy != NULL ? policy->on_anonymous_code : VERDICT_LOG;
    state->on_foreign_stack = policy != NULL ? policy->on_foreign_stack : VERDICT_LOG;
    if (mode == NULL)
        return;
    /* The environment may tighten, never loosen. */
    if (strcmp(mode, "enforce") == 0)
        state->mode = MODE_ENFORCE;
    else if (strcmp(mode, "audit") == 0 && state->mode >= MODE_AUDIT)
        state->mode = MODE_AUDIT;
    else if (strcmp(mode, "audit") == 0 || strcmp(mode, "learn") == 0 || strcmp(mode, "off") == 0)
        log_process(REASON_BAD_SETTING, VERDICT_LOG,
                    "PINION_MODE is not obeyed: it may only tighten the policy's mode");
    else
        log_process(REASON_BAD_SETTING, VERDICT_LOG, "PINION_MODE is neither \"enforce\" nor \"audit\"");
}

/* AddressSanitizer's own interceptors must come first: between them and libc there is no call site of the program. */
static bool has_sanitizer(const struct link_map *first) {
    for (const struct link_map *link = first; link != NULL; link = link->l_next)
        if (resolve_in(link, "__asan_init") != 0)
            return true;
    return false;
}

static void map_record(struct state *state, const char *path) {
    if (path == NULL)
        return;
    struct stat status = {0};
    long opened = raw(__NR_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0), pages = -1;
    if (!raw_failed(opened) && raw(__NR_fstat, opened, &status) == 0 &&
        status.st_size >= (long)sizeof(struct record_header))
        pages = raw(__NR_mmap, 0, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, opened, 0);
    if (!raw_failed(opened))
        raw(__NR_close, opened);
    struct record_header *record = (struct record_header *)pages;
    if (raw_failed(pages) || memcmp(record->magic, RECORD_MAGIC, sizeof record->magic) != 0 ||
        record->version != RECORD_VERSION || record->table_fingerprint != api_table_fingerprint())
        refuse_to_start(REASON_BAD_SETTING, "PINION_RECORD is not a record of this version");
    state->record = record;
    state->record_bytes = (uint64_t)status.st_size;
}

/* ---- counting ---- */

/* Milliseconds; 0 where it is no number that can be used. */
static uint64_t read_interval(const char *text) {
    uint64_t value = 0;
    for (; *text >= '0' && *text <= '9' && value <= COUNTS_MOST_MS; text++)
        value = 10 * value + (uint64_t)(*text - '0');
    return *text == '\0' && value >= COUNTS_LEAST_MS && value <= COUNTS_MOST_MS ? value : 0;
}

static void prepare_counting(struct state *state, const struct settings *settings) {
    uint64_t interval = settings->interval != NULL ? read_interval(settings->interval) : 0;
    if (interval == 0 && settings->interval != NULL)
        log_process(REASON_BAD_SETTING, VERDICT_LOG, "PINION_INTERVAL is no number of milliseconds from 10 to 3600000");
    state->interval = interval * 1000000;
    state->model_path = settings->model != NULL ? keep(state, settings->model, "") : NULL;
    state->counts_path = settings->counts != NULL ? keep(state, settings->counts, "") : NULL;
    if (settings->counts != NULL && *settings->counts != '\0' && *settings->counts != '/')
        log_process(REASON_BAD_SETTING, VERDICT_LOG,
                    "PINION_COUNTS is no absolute path: the process counts for itself");
    clock_start(state);
}

/* ---- events ---- */

static void prepare_events(struct state *state, const char *path) {
    const char *kept = path != NULL ? keep(state, path, "") : NULL;
    if ((path != NULL && kept == NULL) || !event_open(state, kept))
        log_process(REASON_BAD_SETTING, VERDICT_LOG,
                    "PINION_EVENTS is no absolute path of a socket: no events are sent");
}

/* ---- the sequence ---- */

static void find_imports(struct state *state) {
    state->environment = &environ;
    state->errno_location = __errno_location;
    state->musl = gnu_get_libc_version == NULL;
}

static void seal(void) {
    raw(__NR_mprotect, pinion_real, (SPELLING_COUNT * sizeof(void *) + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1),
        PROT_READ);
    raw(__NR_mprotect, &pinion_sealed_state, sizeof pinion_sealed_state, PROT_READ);
}

static void protect(struct state *state, const struct link_map *first, const struct link_map *self) {
    struct settings settings = {0};
    resolve_all(self);
    read_settings(state, &settings);
    stack_start(state);
    find_shim_path(state, settings.preload, self->l_name);
    state->policy_directory =
        keep(state, settings.policy_directory != NULL ? settings.policy_directory : DEFAULT_POLICY_DIRECTORY, "");
    if (state->policy_directory == NULL)
        refuse_to_start(REASON_BAD_SETTING, "PINION_POLICY_DIR is too long");
    state->log_path = settings.log != NULL ? keep(state, settings.log, "") : NULL;
    bool has_log = settings.log == NULL || log_open(state, settings.log);
    state->modules = modules_start();
    find_program(state, first);
    if (!has_log) /* a program with fewer rights than the one that set it */
        log_process(REASON_BAD_SETTING, VERDICT_LOG, "PINION_LOG cannot be opened: logging to standard error");
    if (has_sanitizer(first)) {
        state->mode = MODE_OFF;
        log_process(REASON_SANITIZER, VERDICT_ALLOW, NULL);
    } else {
        load_policy(state, &settings);
        apply_policy(state, settings.mode);
        map_record(state, settings.record);
        if (state->policy == NULL && state->record == NULL)
            log_process(REASON_NO_POLICY, VERDICT_ALLOW, state->program_path);
    }
    prepare_counting(state, &settings);
    prepare_events(state, settings.events);
    modules_bind();
    if (state->mode == MODE_ENFORCE && state->policy != NULL)
        __atomic_store_n(&state->quick, state->modules, __ATOMIC_RELEASE);
}

static void start(void) {
    struct state *state = STATE;
    find_imports(state);
    log_open(state, NULL); /* so that a refusal is heard */
    state->program_path = "";
    state->debug = modules_debug();
    const struct link_map *first = modules_first(), *self = modules_self();
    if (first != NULL && self != NULL)
        protect(state, first, self);
    else if (state->errno_location == NULL)
        state->mode = MODE_OFF; /* no libc: there is nothing that could be called */
    else
        refuse_to_start(REASON_BAD_SETTING, "the loader's list of libraries cannot be found");
    __atomic_store_n(&state->ready, READY, __ATOMIC_RELEASE);
    seal();
}

/* Before threads exist there is nobody to race; where a library's constructor has started some already, the others
 * wait for the first. */
__attribute__((constructor)) void pinion_start(void) {
    static uint32_t begun;
    if (__atomic_load_n(&STATE->ready, __ATOMIC_ACQUIRE) == READY)
        return;
    if (__atomic_exchange_n(&begun, 1, __ATOMIC_ACQ_REL) == 0)
        start();
    while (__atomic_load_n(&STATE->ready, __ATOMIC_ACQUIRE) != READY)
        raw(__NR_sched_yield);
}
