/* Children: every exec and spawn hands the protection on, whatever environment the application gives, and a program
 * that cannot be protected is a violation of its own kind.
 *
 * Functions that have no environment argument go on as those that have one; before system, popen and wordexp, whose
 * children take libc's environ, a completed environ is put in place and stays.
 */
#include <asm/errno.h>
#include <asm/stat.h>
#include <elf.h>
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "preload/check.h"
#include "preload/copy.h"
#include "preload/libc.h"
#include "preload/paths.h"
#include "preload/raw.h"
#include "preload/state.h"
#include "runtime/match.h"
#include "runtime/rule.h"

/* ---- which function takes what ---- */

enum environment_source {
    FROM_ARGUMENT,
    FROM_ENVIRON,      /* and goes on as a function with an environment argument */
    FROM_VARIADIC_END, /* execle: behind the null pointer */
    IN_ENVIRON,        /* the function reads environ itself */
};

struct child_call {
    uint16_t api;
    int8_t path;        /* argument; -1: a shell; -2: a descriptor in argument 0 */
    int8_t directory;   /* argument, or -1 */
    bool searches;      /* in PATH */
    bool variadic;      /* the argument vector stands in the call */
    int8_t vector;      /* argument that holds it, also of the function that the call goes on as */
    uint8_t source;     /* enum environment_source */
    int8_t environment; /* argument that holds it, also of the function that the call goes on as */
    uint16_t goes_on;   /* spelling, or SPELLING_COUNT for its own */
};

#define SHELL (-1)
#define DESCRIPTOR (-2)

static const struct child_call child_calls[] = {
    {API_execve, 0, -1, false, false, 1, FROM_ARGUMENT, 2, SPELLING_COUNT},
    {API_execv, 0, -1, false, false, 1, FROM_ENVIRON, 2, SPELLING_execve},
    {API_execvp, 0, -1, true, false, 1, FROM_ENVIRON, 2, SPELLING_execvpe},
    {API_execvpe, 0, -1, true, false, 1, FROM_ARGUMENT, 2, SPELLING_COUNT},
    {API_execl, 0, -1, false, true, 1, FROM_ENVIRON, 2, SPELLING_execve},
    {API_execlp, 0, -1, true, true, 1, FROM_ENVIRON, 2, SPELLING_execvpe},
    {API_execle, 0, -1, false, true, 1, FROM_VARIADIC_END, 2, SPELLING_execve},
    {API_fexecve, DESCRIPTOR, -1, false, false, 1, FROM_ARGUMENT, 2, SPELLING_COUNT},
    {API_execveat, 1, 0, false, false, 2, FROM_ARGUMENT, 3, SPELLING_COUNT},
    {API_posix_spawn, 1, -1, false, false, 4, FROM_ARGUMENT, 5, SPELLING_COUNT},
    {API_posix_spawnp, 1, -1, true, false, 4, FROM_ARGUMENT, 5, SPELLING_COUNT},
    {API_system, SHELL, -1, false, false, -1, IN_ENVIRON, -1, SPELLING_COUNT},
    {API_popen, SHELL, -1, false, false, -1, IN_ENVIRON, -1, SPELLING_COUNT},
    {API_wordexp, SHELL, -1, false, false, -1, IN_ENVIRON, -1, SPELLING_COUNT},
};

static const struct child_call *child_call_of(unsigned api) {
    for (unsigned i = 0; i < sizeof child_calls / sizeof child_calls[0]; i++)
        if (child_calls[i].api == api)
            return &child_calls[i];
    return NULL;
}

/* ---- reading vectors and strings of the application, one probe a page ---- */

struct reader {
    uint64_t page; /* known to be readable */
};

static bool reader_sees(struct reader *reader, uint64_t address) {
    uint64_t page = address & ~(uint64_t)(PAGE_BYTES - 1);
    if (page != reader->page && !memory_is_readable(address))
        return false;
    reader->page = page;
    return true;
}

static bool reader_word(struct reader *reader, uint64_t address, uint64_t *word) {
    if ((address & 7) != 0)
        return read_word(address, word);
    if (!reader_sees(reader, address))
        return false;
    *word = *(const volatile uint64_t *)address;
    return true;
}

/* Whether the string begins with `prefix`; *bad when it cannot be read. */
static bool reader_begins(struct reader *reader, uint64_t text, const char *prefix, bool *bad) {
    for (unsigned i = 0; prefix[i] != '\0'; i++) {
        if (!reader_sees(reader, text + i)) {
            *bad = true;
            return false;
        }
        if (*(const volatile char *)(text + i) != prefix[i])
            return false;
    }
    return true;
}

/* ---- the environment ---- */

#define VECTOR_MAX (1u << 20)

enum entry_kind {
    ENTRY_ORDINARY,
    ENTRY_PRELOAD,
    ENTRY_DROPPED, /* PINION_*, LD_AUDIT: the child gets those of this process, or none */
};

static enum entry_kind entry_kind(struct reader *strings, uint64_t entry, bool *bad) {
    if (!reader_sees(strings, entry)) {
        *bad = true;
        return ENTRY_ORDINARY;
    }
    char first = *(const volatile char *)entry;
    if (first == 'L') {
        if (STATE->preload != NULL && reader_begins(strings, entry, "LD_PRELOAD=", bad))
            return ENTRY_PRELOAD;
        if (reader_begins(strings, entry, "LD_AUDIT=", bad))
            return ENTRY_DROPPED;
    }
    if (first == 'P' && reader_begins(strings, entry, "PINION_", bad))
        return ENTRY_DROPPED;
    return ENTRY_ORDINARY;
}

struct environment {
    uint64_t source;  /* vector, may be 0 */
    uint64_t count;   /* entries of it */
    uint64_t preload; /* the last LD_PRELOAD entry, or 0 */
    size_t preload_length;
    unsigned special; /* entries that are not ordinary */
};

static bool survey(struct environment *environment) {
    struct reader vector = {0}, strings = {0};
    bool bad = false;
    for (uint64_t entry; environment->source != 0 && environment->count < VECTOR_MAX; environment->count++) {
        if (!reader_word(&vector, environment->source + 8 * environment->count, &entry))
            return false;
        if (entry == 0)
            break;
        enum entry_kind kind = entry_kind(&strings, entry, &bad);
        if (bad)
            return false;
        if (kind == ENTRY_PRELOAD)
            environment->preload = entry;
        environment->special += kind != ENTRY_ORDINARY;
    }
    for (uint64_t at = environment->preload; at != 0; at++, environment->preload_length++) {
        if (!reader_sees(&strings, at))
            return false;
        if (*(const volatile char *)at == '\0')
            break;
    }
    return environment->count < VECTOR_MAX;
}

static size_t base_of(const char *path, size_t length) {
    while (length > 0 && path[length - 1] != '/')
        length--;
    return length;
}

/* The shim by any path: it may have been named relative to a directory that the child is not in. */
static bool names_the_shim(const char *entry, size_t length) {
    size_t shim_length = strlen(STATE->shim_path), base = base_of(entry, length);
    size_t shim_base = base_of(STATE->shim_path, shim_length);
    return length - base == shim_length - shim_base &&
           memcmp(entry + base, STATE->shim_path + shim_base, length - base) == 0;
}

/* "LD_PRELOAD=" with the shim first and once, then what the application wants preloaded beside it. */
static const char *compose_preload(const struct environment *environment, char *room) {
    const char *list = (const char *)environment->preload;
    if (list == NULL)
        return STATE->preload;
    size_t used = strlen(STATE->preload);
    memcpy(room, STATE->preload, used);
    const char *end = list + environment->preload_length, *entry = list + strlen("LD_PRELOAD=");
    while (entry < end) {
        const char *stop = entry;
        while (stop < end && *stop != ':' && *stop != ' ')
            stop++;
        if (stop > entry && !names_the_shim(entry, (size_t)(stop - entry))) {
            room[used++] = ':';
            memcpy(room + used, entry, (size_t)(stop - entry));
            used += (size_t)(stop - entry);
        }
        entry = stop + 1;
    }
    room[used] = '\0';
    return room;
}

static size_t environment_bytes(const struct environment *environment) {
    return 8 * (environment->count + INHERITED_MAX + 2) + environment->preload_length + PATH_BYTES + 16;
}

/* Writes the completed vector, and the strings behind it, into `room`. */
static bool complete(const struct environment *environment, uint64_t *room) {
    struct reader vector = {0}, strings = {0};
    char *text = (char *)(room + environment->count + INHERITED_MAX + 2);
    uint64_t used = 0;
    bool bad = false;
    for (uint64_t i = 0, entry; i < environment->count; i++) {
        if (!reader_word(&vector, environment->source + 8 * i, &entry))
            return false;
        if (entry_kind(&strings, entry, &bad) == ENTRY_ORDINARY && !bad)
            room[used++] = entry;
    }
    if (STATE->preload != NULL)
        room[used++] = (uint64_t)compose_preload(environment, text);
    for (unsigned i = 0; i < STATE->inherited_count; i++)
        room[used++] = (uint64_t)STATE->inherited[i];
    room[used] = 0;
    return !bad;
}

static void *map_pages(uint64_t size) {
    long pages = raw(__NR_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return raw_failed(pages) ? NULL : (void *)pages;
}

/* The thread's block for vectors, large enough; its contents are those of the last exec that failed. */
static uint64_t *child_block(struct thread_slot *slot, uint64_t size) {
    if (size > slot->child_block_size) {
        size = (size + 65535) & ~(uint64_t)65535;
        void *pages = map_pages(size);
        if (pages == NULL)
            return NULL;
        if (slot->child_block != NULL)
            raw(__NR_munmap, slot->child_block, slot->child_block_size);
        slot->child_block = pages;
        slot->child_block_size = size;
    }
    return slot->child_block;
}

static bool out_of_memory(struct call *call) {
    fail(call, ENOMEM);
    return false;
}

static bool bad_address(struct call *call) {
    fail(call, EFAULT);
    return false;
}

/* ---- system, popen, wordexp: environ itself ---- */

static bool has_entry(const struct environment *environment, const char *wanted) {
    for (uint64_t i = 0; i < environment->count; i++)
        if (strcmp(((const char **)environment->source)[i], wanted) == 0)
            return true;
    return false;
}

static bool is_complete(const struct environment *environment) {
    unsigned expected = STATE->inherited_count + (STATE->preload != NULL);
    if (environment->special != expected)
        return false;
    if (STATE->preload != NULL) {
        size_t length = strlen(STATE->preload);
        const char *list = (const char *)environment->preload;
        if (list == NULL || strncmp(list, STATE->preload, length) != 0 || (list[length] != '\0' && list[length] != ':'))
            return false;
    }
    for (unsigned i = 0; i < STATE->inherited_count; i++)
        if (!has_entry(environment, STATE->inherited[i]))
            return false;
    return true;
}

/* The block stays for ever: the application may keep pointers into its environment. */
static bool complete_environ(struct call *call) {
    if (STATE->environment == NULL)
        return true;
    struct environment environment = {.source = (uint64_t)*STATE->environment};
    if (!survey(&environment))
        return bad_address(call);
    if (is_complete(&environment))
        return true;
    uint64_t *room = map_pages(environment_bytes(&environment));
    if (room == NULL)
        return out_of_memory(call);
    if (!complete(&environment, room))
        return bad_address(call);
    *STATE->environment = (char **)room;
    return true;
}

/* ---- exec and spawn ---- */

/* The i-th variadic argument after the path: execl(path, arg0, ..., NULL [, envp]). */
static uint64_t variadic(const struct call *call, uint64_t i) {
    uint64_t place = 1 + i;
    return place < 6 ? call->arguments[place] : call->registers->stack_arguments[place - 6];
}

static uint64_t variadic_count(const struct call *call) {
    uint64_t count = 0;
    while (count < VECTOR_MAX && variadic(call, count) != 0)
        count++;
    return count;
}

static uint64_t environment_source(const struct call *call, const struct child_call *child, uint64_t count) {
    switch (child->source) {
    case FROM_ARGUMENT: return call->arguments[child->environment];
    case FROM_VARIADIC_END: return variadic(call, count + 1);
    default: return STATE->environment != NULL ? (uint64_t)*STATE->environment : 0;
    }
}

static bool complete_exec(struct call *call, const struct child_call *child) {
    uint64_t count = child->variadic ? variadic_count(call) : 0;
    struct environment environment = {.source = environment_source(call, child, count)};
    if (!survey(&environment))
        return bad_address(call);
    size_t vector_bytes = environment_bytes(&environment);
    uint64_t *room = child_block(call->slot, vector_bytes + 8 * (count + 1));
    if (room == NULL)
        return out_of_memory(call);
    if (!complete(&environment, room))
        return bad_address(call);
    if (call->vector != NULL) {
        call->arguments[child->vector] = (uint64_t)call->vector;
    } else if (child->variadic) {
        uint64_t *vector = (uint64_t *)((char *)room + ((vector_bytes + 7) & ~(size_t)7));
        for (uint64_t i = 0; i <= count; i++)
            vector[i] = i < count ? variadic(call, i) : 0;
        call->arguments[child->vector] = (uint64_t)vector;
    }
    call->arguments[child->environment] = (uint64_t)room;
    if (child->goes_on != SPELLING_COUNT)
        call->target = pinion_real[child->goes_on];
    return true;
}

/* ---- whether a program can be protected ---- */

enum target {
    TARGET_PROTECTABLE,
    TARGET_UNPROTECTABLE,
    TARGET_ABSENT,    /* the real function will say so, or look elsewhere */
    TARGET_NO_FORMAT, /* a file that is no program: exec*p has the shell run it */
};

#define SCRIPT_DEPTH 7 /* the kernel follows five interpreters */
#define HEAD_BYTES 512

static bool same_file(const struct stat *status, const char *path) {
    struct stat other = {0};
    return raw(__NR_stat, path, &other) == 0 && other.st_dev == status->st_dev && other.st_ino == status->st_ino;
}

/* Run as a program, a dynamic loader reads LD_PRELOAD itself. */
static bool is_loader(const struct stat *status) {
    return same_file(status, "/lib64/ld-linux-x86-64.so.2") || same_file(status, "/lib/ld-musl-x86_64.so.1");
}

/* Where the effective ids differ from the real ones, by the file or already before, the loader ignores LD_PRELOAD. */
static bool gains_privilege(int descriptor, const struct stat *status) {
    uint32_t user = status->st_mode & 04000 ? status->st_uid : (uint32_t)raw(__NR_geteuid);
    uint32_t group = (status->st_mode & 02010) == 02010 ? status->st_gid : (uint32_t)raw(__NR_getegid);
    if (user != (uint32_t)raw(__NR_getuid) || group != (uint32_t)raw(__NR_getgid))
        return true;
    char capability[64];
    return raw(__NR_getuid) != 0 &&
           raw(__NR_fgetxattr, descriptor, "security.capability", capability, sizeof capability) > 0;
}

static bool has_interpreter(int descriptor, const Elf64_Ehdr *header) {
    for (unsigned i = 0; i < header->e_phnum && i < 128; i++) {
        Elf64_Phdr segment = {0};
        if (raw(__NR_pread64, descriptor, &segment, sizeof segment, header->e_phoff + i * sizeof segment) !=
            sizeof segment)
            return false;
        if (segment.p_type == PT_INTERP)
            return true;
    }
    return false;
}

/* The interpreter that "#!" names, in place; NULL for none. */
static char *script_interpreter(char *head, long length) {
    if (length < 3 || head[0] != '#' || head[1] != '!')
        return NULL;
    head[length < HEAD_BYTES ? length : HEAD_BYTES - 1] = '\0';
    char *start = head + 2;
    while (*start == ' ' || *start == '\t')
        start++;
    char *end = start;
    while (*end != '\0' && *end != ' ' && *end != '\t' && *end != '\n')
        end++;
    *end = '\0';
    return *start != '\0' ? start : NULL;
}

static enum target inspect_open(int descriptor, char head[HEAD_BYTES], const char **interpreter) {
    struct stat status = {0};
    *interpreter = NULL;
    if (raw(__NR_fstat, descriptor, &status) != 0)
        return TARGET_UNPROTECTABLE;
    if ((status.st_mode & 0170000) != 0100000)
        return TARGET_ABSENT; /* EACCES */
    long length = raw(__NR_pread64, descriptor, head, HEAD_BYTES, 0);
    if (raw_failed(length)) /* O_PATH, or open for writing only: it can be executed, but not be judged */
        return TARGET_UNPROTECTABLE;
    if (gains_privilege(descriptor, &status))
        return TARGET_UNPROTECTABLE;
    if (length >= 2 && head[0] == '#' && head[1] == '!') {
        *interpreter = script_interpreter(head, length);
        return *interpreter != NULL ? TARGET_PROTECTABLE : TARGET_ABSENT;
    }
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)head;
    if (length < (long)sizeof *header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return TARGET_NO_FORMAT;
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64 ||
        header->e_phentsize != sizeof(Elf64_Phdr))
        return TARGET_UNPROTECTABLE;
    return has_interpreter(descriptor, header) || is_loader(&status) ? TARGET_PROTECTABLE : TARGET_UNPROTECTABLE;
}

/* `working` is the directory that the child will be in: interpreters of scripts are found from there. */
static enum target inspect(int directory, int working, const char *path) {
    char head[HEAD_BYTES] = {0};
    const char *name = path;
    for (unsigned depth = 0; depth < SCRIPT_DEPTH; depth++) {
        long opened = raw(__NR_openat, directory, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
        if (raw_failed(opened)) /* what cannot be read cannot be judged */
            return raw(__NR_faccessat, directory, name, 1 /* X_OK */) == 0 ? TARGET_UNPROTECTABLE : TARGET_ABSENT;
        const char *interpreter;
        enum target target = inspect_open((int)opened, head, &interpreter);
        raw(__NR_close, opened);
        if (interpreter == NULL)
            return target;
        name = interpreter;
        directory = working;
    }
    return TARGET_UNPROTECTABLE;
}

/* It may have been opened as a place only, which can be executed but not read. */
static enum target inspect_descriptor(int descriptor) {
    char head[HEAD_BYTES] = {0};
    const char *interpreter;
    long opened = path_reopen(descriptor);
    enum target target = inspect_open(raw_failed(opened) ? descriptor : (int)opened, head, &interpreter);
    if (!raw_failed(opened))
        raw(__NR_close, opened);
    return interpreter != NULL ? inspect(AT_FDCWD, AT_FDCWD, interpreter) : target;
}

/* ---- PATH ---- */

static const char *search_list(void) {
    char **entry = STATE->environment != NULL ? *STATE->environment : NULL;
    for (; entry != NULL && *entry != NULL; entry++)
        if (strncmp(*entry, "PATH=", 5) == 0)
            return *entry + 5;
    return STATE->musl ? "/usr/local/bin:/bin:/usr/bin" : "/bin:/usr/bin";
}

/* The file that exec*p will start: it passes over what is no program it may execute. `found` has PATH_BYTES. */
static enum target search(int working, const char *name, char *found) {
    size_t name_length = strlen(name);
    for (const char *directory = search_list();;) {
        size_t length = 0;
        while (directory[length] != '\0' && directory[length] != ':')
            length++;
        if (length + name_length + 2 <= PATH_BYTES) {
            size_t used = length;
            memcpy(found, directory, length);
            if (length > 0)
                found[used++] = '/';
            memcpy(found + used, name, name_length + 1);
            enum target target = raw(__NR_faccessat, working, found, 1 /* X_OK */) == 0
                                     ? inspect(working, working, found)
                                     : TARGET_ABSENT;
            if (target != TARGET_ABSENT)
                return target;
        }
        if (directory[length] == '\0')
            return TARGET_ABSENT;
        directory += length + 1;
    }
}

/* ---- the decision ---- */

static bool is_allowed_unprotected(const struct call *call, const char *path) {
    if (call->site == NULL || STATE->policy == NULL)
        return false;
    const struct policy_constraint *constraint = policy_section(STATE->policy, STATE->policy->constraints);
    constraint += call->site->first_constraint;
    for (unsigned i = 0; i < call->site->constraint_count; i++)
        if (constraint[i].kind == CONSTRAINT_CHILDREN &&
            rule_allows_text(STATE->policy, &constraint[i], 0, path, strlen(path)))
            return true;
    return false;
}

static bool shim_is_reachable(void) {
    return STATE->shim_path == NULL || strchr(STATE->shim_path, '/') == NULL ||
           raw(__NR_faccessat, AT_FDCWD, STATE->shim_path, 4 /* R_OK */) == 0;
}

static bool judge(struct call *call, const struct child_call *child, enum target target, const char *path) {
    if (target == TARGET_NO_FORMAT && child->searches)
        target = inspect(AT_FDCWD, AT_FDCWD, "/bin/sh");
    if (target == TARGET_ABSENT || target == TARGET_NO_FORMAT || (target == TARGET_PROTECTABLE && shim_is_reachable()))
        return true;
    if (STATE->mode == MODE_LEARN)
        learn_child(call, path);
    if (is_allowed_unprotected(call, path))
        return true;
    return violate(call, &(struct violation){.reason = REASON_UNPROTECTED_CHILD,
                                             .argument = child->path >= 0 ? child->path : -1,
                                             .text = path});
}

/* ---- posix_spawn's file actions may change the directory first ---- */

/* glibc's posix_spawn_file_actions_t and its actions, as its ABI has them since 2.29. */
struct spawn_actions {
    int allocated, used;
    uint64_t actions;
};

struct spawn_action {
    int tag;
    int unused;
    uint64_t operand; /* chdir: the path; the others: a descriptor */
    uint64_t path;    /* of open */
    int flags, mode;
};

enum spawn_tag {
    SPAWN_DUP2 = 1,
    SPAWN_OPEN = 2,
    SPAWN_CHDIR = 3,
    SPAWN_FCHDIR = 4,
};

#define SPAWN_ACTIONS_MAX 1024

/* Where the child will be, as far as the actions have been followed. */
struct spawn_state {
    int directory;
    bool opened;    /* the directory is a descriptor of ours */
    bool reordered; /* descriptors of the child are no longer those of the parent */
};

static void leave_directory(struct spawn_state *state) {
    if (state->opened)
        raw(__NR_close, state->directory);
    state->opened = false;
}

/* Returns false where the action cannot be followed. */
static bool follow_action(struct call *call, const struct spawn_action *action, struct spawn_state *state) {
    const char *path;
    size_t length;
    uint64_t name = action->tag == SPAWN_CHDIR ? action->operand : action->path;
    switch (action->tag) {
    case SPAWN_OPEN:
        state->reordered = true;
        return (action->flags & OPEN_WRITES) == 0 ||
               (copy_string(call->slot, call->registers, name, PATH_BYTES - 1, &path, &length) == COPY_DONE &&
                !path_is_guarded(state->directory, path));
    case SPAWN_DUP2: state->reordered = true; return true;
    case SPAWN_FCHDIR:
        leave_directory(state);
        state->directory = (int)action->operand;
        return !state->reordered;
    case SPAWN_CHDIR: {
        if (copy_string(call->slot, call->registers, name, PATH_BYTES - 1, &path, &length) != COPY_DONE ||
            path_depends_on_process(state->directory, path))
            return false;
        long next = raw(__NR_openat, state->directory, path, O_PATH | O_CLOEXEC, 0);
        leave_directory(state);
        state->directory = (int)next;
        state->opened = !raw_failed(next);
        return state->opened;
    }
    default: return true;
    }
}

/* musl's list is its own: what is relative there cannot be judged. */
static bool follow_actions(struct call *call, struct spawn_state *state) {
    struct spawn_actions list;
    if (STATE->musl || !read_bytes(&list, call->arguments[2], sizeof list) || list.used > SPAWN_ACTIONS_MAX)
        return false;
    for (int i = 0; i < list.used; i++) {
        struct spawn_action action;
        if (!read_bytes(&action, list.actions + sizeof action * (uint64_t)i, sizeof action) ||
            !follow_action(call, &action, state))
            return false;
    }
    return true;
}

/* *path becomes the file that a search found. */
static enum target inspect_spawned(struct call *call, const struct child_call *child, const char **path, char *found) {
    struct spawn_state state = {.directory = AT_FDCWD};
    bool searches = child->searches && strchr(*path, '/') == NULL;
    enum target target = TARGET_UNPROTECTABLE;
    bool followed = call->arguments[2] == 0 || follow_actions(call, &state);
    bool anywhere = (*path)[0] == '/' && !path_depends_on_process(AT_FDCWD, *path);
    if (followed && searches) {
        target = search(state.directory, *path, found);
        *path = found;
    } else if (call->arguments[2] == 0 || anywhere || (followed && (*path)[0] != '/')) {
        target = inspect(state.directory, state.directory, *path);
    }
    leave_directory(&state);
    return target;
}

static bool judge_target(struct call *call, const struct child_call *child) {
    if (child->path == SHELL)
        return judge(call, child, inspect(AT_FDCWD, AT_FDCWD, "/bin/sh"), "/bin/sh");
    if (child->path == DESCRIPTOR)
        return judge(call, child, inspect_descriptor((int)call->arguments[0]), "(descriptor)");
    char *found = copy_allocate(call->slot, call->registers, PATH_BYTES);
    if (found == NULL)
        return out_of_memory(call);
    const char *path;
    size_t length;
    if (!take_string(call, (unsigned)child->path, &path, &length))
        return false;
    if (path == NULL)
        return true; /* EFAULT */
    if (child->api == API_posix_spawn || child->api == API_posix_spawnp) {
        enum target target = inspect_spawned(call, child, &path, found);
        return judge(call, child, target, path);
    }
    if (child->searches && strchr(path, '/') == NULL) {
        enum target target = search(AT_FDCWD, path, found);
        return judge(call, child, target, found);
    }
    int directory = child->directory >= 0 ? (int)call->arguments[child->directory] : AT_FDCWD;
    if (path[0] == '\0' && child->directory >= 0) /* AT_EMPTY_PATH: the descriptor is the program */
        return judge(call, child, inspect_descriptor(directory), "(descriptor)");
    return judge(call, child, inspect(directory, AT_FDCWD, path), path);
}

bool prepare_child(struct call *call) {
    const struct child_call *child = child_call_of(call->index);
    if (!judge_target(call, child))
        return false;
    return child->source == IN_ENVIRON ? complete_environ(call) : complete_exec(call, child);
}
