/* What is remembered, as a packed file. It is root's alone, for it holds the environments of programs, and is written
 * whole or not at all. What is read is what programs said of themselves, and is checked as if they had written it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/form.h"
#include "tools/patch/packed.h"
#include "tools/patch/proc.h"
#include "tools/patch/restart_memory.h"

#define MAGIC "pinion restart memory 1\n"
#define TEXT_MOST (1u << 21) /* of a command line or environment */
#define PATH_BYTES_MOST 8192
#define WORD_MOST 128

enum flag {
    FLAG_SUPERVISED = 1,
    FLAG_AS_ITSELF = 2,
    FLAG_PROTECTED = 4,
    FLAG_COMMAND = 8,
    FLAG_NO_NEW_PRIVILEGES = 16,
    FLAGS = 31,
};

/* ---- writing ---- */

static void put_texts(struct packed_writer *out, char *const *texts) {
    size_t count = texts_count(texts);
    packed_put(out, count);
    for (size_t i = 0; i < count; i++)
        packed_put_text(out, texts[i]);
}

static void put_identity(struct packed_writer *out, const struct command_identity *identity) {
    packed_put(out, identity->user);
    packed_put(out, identity->group);
    packed_put(out, identity->group_count);
    for (size_t i = 0; i < identity->group_count; i++)
        packed_put(out, identity->groups[i]);
    packed_put_text(out, identity->directory);
}

static void put_process(struct packed_writer *out, const struct process_identity *process) {
    packed_put(out, (uint64_t)process->process);
    packed_put(out, process->start);
}

static unsigned flags_of(const struct remembered *item) {
    return (item->supervised ? FLAG_SUPERVISED : 0u) | (item->as_itself ? FLAG_AS_ITSELF : 0u) |
           (item->protected ? FLAG_PROTECTED : 0u) | (item->command != NULL ? FLAG_COMMAND : 0u) |
           (item->identity.no_new_privileges ? FLAG_NO_NEW_PRIVILEGES : 0u);
}

static void put_item(struct packed_writer *out, const struct remembered *item) {
    packed_put(out, flags_of(item));
    packed_put_text(out, item->program);
    put_texts(out, item->command);
    put_texts(out, item->environment);
    put_texts(out, item->given);
    packed_put_text(out, item->stop);
    packed_put_text(out, item->groups);
    put_identity(out, &item->identity);
    put_process(out, &item->first);
    packed_put(out, item->old_count);
    for (size_t i = 0; i < item->old_count; i++)
        put_process(out, &item->old[i]);
}

static void put_listener(struct packed_writer *out, const struct remembered_listener *listener) {
    packed_put_text(out, listener->program);
    packed_put(out, (uint64_t)listener->family);
    packed_put_text(out, listener->address);
    packed_put(out, listener->port);
    packed_put(out, listener->network);
}

char *restart_memory_write(const struct restart_memory *memory, size_t *size) {
    struct packed_writer out;
    cleanup_free char *boot = machine_boot();
    packed_begin(&out, MAGIC);
    packed_put(&out, (uint64_t)memory->incident);
    packed_put_text(&out, boot);
    packed_put(&out, memory->touched);
    packed_put(&out, memory->stopped);
    packed_put(&out, memory->count);
    for (size_t i = 0; i < memory->count; i++)
        put_item(&out, &memory->items[i]);
    packed_put(&out, memory->listener_count);
    for (size_t i = 0; i < memory->listener_count; i++)
        put_listener(&out, &memory->listeners[i]);
    return packed_end(&out, size);
}

/* ---- reading ---- */

static void require(struct packed_reader *reader, bool good) {
    reader->bad = reader->bad || !good;
}

static char *take_word(struct packed_reader *reader, size_t most) {
    char *text = packed_take_text(reader, most);
    require(reader, text == NULL || *text != '\0');
    return text;
}

/* NULL where it is empty. */
static char *take_optional(struct packed_reader *reader, size_t most) {
    char *text = packed_take_text(reader, most);
    if (text != NULL && *text == '\0')
        free(steal_pointer(&text));
    return text;
}

static char **take_texts(struct packed_reader *reader) {
    char **texts = NULL;
    size_t taken = 0, count = packed_take_count(reader);
    for (size_t i = 0; i < count && !reader->bad; i++) {
        char *text = packed_take_text(reader, TEXT_MOST);
        if (text != NULL)
            *array_append(texts, taken) = text;
    }
    *array_append(texts, taken) = NULL;
    return texts;
}

static char **take_environment(struct packed_reader *reader) {
    char **environment = take_texts(reader);
    for (char **entry = environment; *entry != NULL; entry++)
        require(reader, strchr(*entry, '=') != NULL && **entry != '=');
    return environment;
}

static void take_identity(struct packed_reader *reader, struct command_identity *identity) {
    identity->user = (uid_t)packed_take(reader, UINT32_MAX - 1);
    identity->group = (gid_t)packed_take(reader, UINT32_MAX - 1);
    size_t count = packed_take_count(reader);
    for (size_t i = 0; i < count && !reader->bad; i++)
        *array_append(identity->groups, identity->group_count) = (gid_t)packed_take(reader, UINT32_MAX - 1);
    identity->directory = take_optional(reader, PATH_BYTES_MOST);
    identity->outputs[0] = identity->outputs[1] = -1;
}

static void take_process(struct packed_reader *reader, struct process_identity *process) {
    process->process = (pid_t)packed_take(reader, INT32_MAX);
    process->start = packed_take(reader, UINT64_MAX);
    require(reader, process->process > 0);
}

/* Without a command nothing is started; the program's own one needs to know as whom and where. */
static void take_command(struct packed_reader *reader, bool there, struct remembered *item) {
    item->command = take_texts(reader);
    require(reader, there == (item->command[0] != NULL && *item->command[0] != '\0'));
    if (!there) {
        texts_free(item->command);
        item->command = NULL;
    }
}

static void take_item(struct packed_reader *reader, struct remembered *item) {
    unsigned flags = (unsigned)packed_take(reader, FLAGS);
    *item = (struct remembered){.supervised = (flags & FLAG_SUPERVISED) != 0,
                                .as_itself = (flags & FLAG_AS_ITSELF) != 0,
                                .protected = (flags & FLAG_PROTECTED) != 0,
                                .identity.no_new_privileges = (flags & FLAG_NO_NEW_PRIVILEGES) != 0};
    item->program = take_word(reader, PATH_BYTES_MOST);
    take_command(reader, (flags & FLAG_COMMAND) != 0, item);
    item->environment = take_environment(reader);
    item->given = take_environment(reader);
    item->stop = take_optional(reader, WORD_MOST);
    require(reader, item->stop == NULL || form_matches(&form_signal, item->stop));
    item->groups = take_optional(reader, TEXT_MOST);
    take_identity(reader, &item->identity);
    require(reader, !item->as_itself || item->command == NULL || item->identity.directory != NULL);
    take_process(reader, &item->first);
    size_t old = packed_take_count(reader);
    for (size_t i = 0; i < old && !reader->bad; i++)
        take_process(reader, array_append(item->old, item->old_count));
}

static void take_listener(struct packed_reader *reader, struct remembered_listener *listener) {
    listener->program = take_word(reader, PATH_BYTES_MOST);
    listener->family = (int)packed_take(reader, AF_INET6);
    listener->address = take_word(reader, sizeof((struct listener *)NULL)->address - 1);
    listener->port = (unsigned)packed_take(reader, UINT16_MAX);
    listener->network = packed_take(reader, UINT64_MAX);
    require(reader, listener->family == AF_INET || listener->family == AF_INET6 || listener->family == AF_UNIX);
}

static void take_all(struct packed_reader *reader, struct restart_memory *memory) {
    memory->touched = packed_take(reader, UINT64_MAX);
    memory->stopped = packed_take(reader, UINT64_MAX);
    size_t items = packed_take_count(reader);
    for (size_t i = 0; i < items && !reader->bad; i++)
        take_item(reader, array_append(memory->items, memory->count));
    size_t listeners = packed_take_count(reader);
    for (size_t i = 0; i < listeners && !reader->bad; i++)
        take_listener(reader, array_append(memory->listeners, memory->listener_count));
}

bool restart_memory_parse(const void *data, size_t size, struct restart_memory *memory, struct mistake *mistake) {
    struct packed_reader reader;
    if (!packed_open(&reader, data, size, MAGIC, "memory of programs", mistake))
        return false;
    memory->found = true;
    memory->incident = (int64_t)packed_take(&reader, INT64_MAX);
    cleanup_free char *boot = packed_take_text(&reader, WORD_MOST), *now = machine_boot();
    if (!reader.bad && strcmp(boot, now) != 0)
        return true;
    take_all(&reader, memory);
    return packed_close(&reader, mistake);
}

/* ---- the file ---- */

bool restart_memory_save(const struct restart_memory *memory, struct mistake *mistake) {
    size_t size;
    if (memory->path == NULL)
        return true;
    cleanup_free char *data = restart_memory_write(memory, &size);
    if (size > RESTART_MEMORY_BYTES_MOST)
        return text_mistake(mistake, 0,
                            "the programs to be restarted have more than %u MiB of arguments and environments",
                            RESTART_MEMORY_BYTES_MOST >> 20);
    if (atomic_file_write(memory->path, 0600, data, size) && directory_flush(memory->path))
        return true;
    return text_mistake(mistake, 0, "cannot write down in \"%s\" how programs are started again: %s", memory->path,
                        strerror(errno));
}

static uint64_t network_number(int descriptor) {
    struct stat status;
    return descriptor >= 0 && fstat(descriptor, &status) == 0 ? status.st_ino : 0;
}

bool restart_memory_keep(struct restart_memory *memory, const char *path, int64_t incident,
                         const struct listener *listeners, size_t count, struct mistake *mistake) {
    memory->path = xstrdup(path);
    memory->incident = incident;
    for (size_t i = 0; i < count; i++)
        *array_append(memory->listeners, memory->listener_count) =
            (struct remembered_listener){.program = xstrdup(listeners[i].program),
                                         .family = listeners[i].family,
                                         .address = xstrdup(listeners[i].address),
                                         .port = listeners[i].port,
                                         .network = network_number(listeners[i].network)};
    return restart_memory_save(memory, mistake);
}

static char *read_own(const char *path, size_t *size, struct mistake *mistake) {
    struct stat status;
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0) {
        text_mistake(mistake, 0, "\"%s\": %s", path, strerror(errno));
        return NULL;
    }
    if (!S_ISREG(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 077) != 0) {
        text_mistake(mistake, 0, "\"%s\" is not ours alone", path);
        return NULL;
    }
    char *data = fd_read(fd, RESTART_MEMORY_BYTES_MOST, size);
    if (data == NULL)
        text_mistake(mistake, 0, "\"%s\": %s", path, strerror(errno));
    return data;
}

struct restart_memory *restart_memory_read(const char *path, int64_t incident, struct mistake *mistake) {
    size_t size;
    struct mistake why = {.line = 0};
    cleanup_free char *data = read_own(path, &size, mistake);
    if (data == NULL)
        return NULL;
    struct restart_memory *memory = restart_memory_make();
    bool good = restart_memory_parse(data, size, memory, &why);
    if (good && memory->incident == incident) {
        memory->path = xstrdup(path);
        return memory;
    }
    restart_memory_free(memory);
    text_mistake(mistake, 0, "\"%s\": %s", path, good ? "it is of another incident" : why.text);
    return NULL;
}

/* ---- listeners ---- */

static int open_network(pid_t process) {
    cleanup_free char *path =
        process != PROCESS_OURS ? xasprintf("/proc/%d/ns/net", (int)process) : xstrdup("/proc/self/ns/net");
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* The namespace of this number, as long as one of the target's processes has it; else the target's own, in which its
 * programs would be started again. */
static int find_network(const struct target *target, const struct process_facts *all, size_t count, uint64_t number) {
    cleanup_fd int own = open_network(target->process);
    if (network_number(own) == number)
        return steal_fd(&own);
    for (size_t i = 0; i < count; i++) {
        cleanup_fd int network = open_network(all[i].process);
        if (network_number(network) == number)
            return steal_fd(&network);
    }
    return steal_fd(&own);
}

size_t restart_memory_listeners(const struct restart_memory *memory, const struct target *target,
                                struct listener **listeners) {
    struct process_facts *all;
    size_t found = 0, count = processes_all(target, &all);
    *listeners = NULL;
    for (size_t i = 0; i < memory->listener_count; i++) {
        const struct remembered_listener *remembered = &memory->listeners[i];
        struct listener *listener = array_append(*listeners, found);
        *listener = (struct listener){.program = xstrdup(remembered->program),
                                      .family = remembered->family,
                                      .port = remembered->port,
                                      .network = find_network(target, all, count, remembered->network)};
        snprintf(listener->address, sizeof listener->address, "%s", remembered->address);
    }
    process_facts_free(all, count);
    return found;
}
