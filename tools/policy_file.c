/* Policies as files. Whatever is read here was written by others: nothing is trusted before document_read_text or
 * policy_validate accepted it.
 */
#include "tools/policy_file.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/util.h"
#include "tools/object.h"

bool has_suffix(const char *text, const char *suffix) {
    size_t length = strlen(text);
    size_t suffix_length = strlen(suffix);
    return length > suffix_length && strcmp(text + length - suffix_length, suffix) == 0;
}

const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *policy_directory(const char *given) {
    const char *environment = getenv("PINION_POLICY_DIR");
    if (given)
        return given;
    return environment && *environment ? environment : POLICY_DIRECTORY;
}

char *policy_path(const char *directory, const char *program, const char *suffix) {
    cleanup_free char *stem = policy_file_stem(program);
    return xasprintf("%s/%s%s", directory, stem, suffix);
}

char *compiled_path(const char *text_path) {
    size_t length = strlen(text_path);
    if (has_suffix(text_path, POLICY_TEXT_SUFFIX))
        length -= strlen(POLICY_TEXT_SUFFIX);
    return xasprintf("%.*s%s", (int)length, text_path, POLICY_COMPILED_SUFFIX);
}

bool is_directory(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

struct path_list list_directory(const char *directory, const char *suffix) {
    struct path_list list = {0};
    struct dirent **entries;
    int count = scandir(directory, &entries, NULL, alphasort);
    if (count < 0)
        die_with_error("cannot read the directory \"%s\"", directory);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.' && has_suffix(entries[i]->d_name, suffix))
            *array_append(list.items, list.count) = xasprintf("%s/%s", directory, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return list;
}

void path_list_free(struct path_list *list) {
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct path_list){0};
}

static bool is_compiled(const char *content, size_t size) {
    return size >= sizeof POLICY_MAGIC - 1 && memcmp(content, POLICY_MAGIC, sizeof POLICY_MAGIC - 1) == 0;
}

bool policy_load(const char *path, struct policy_file *file, struct mistake *mistake) {
    *file = (struct policy_file){0};
    *mistake = (struct mistake){0};
    size_t size;
    cleanup_free char *content = file_read(path, POLICY_MAX_BYTES, &size);
    if (!content) {
        snprintf(mistake->text, sizeof mistake->text, "%s", strerror(errno));
        return false;
    }
    if (is_compiled(content, size)) {
        const char *why = policy_validate(content, size);
        if (why) {
            snprintf(mistake->text, sizeof mistake->text, "%s", why);
            return false;
        }
        file->compiled = true;
        file->image = steal_pointer(&content);
        file->size = size;
        document_from_compiled(file->image, &file->document);
    } else {
        if (has_suffix(path, POLICY_COMPILED_SUFFIX)) {
            snprintf(mistake->text, sizeof mistake->text, "this is no compiled policy");
            return false;
        }
        document_init(&file->document);
        if (!document_read_text(path, &file->document, mistake)) {
            document_free(&file->document);
            return false;
        }
        file->image = document_compile(&file->document, &file->size);
    }
    file->path = xstrdup(path);
    return true;
}

void policy_unload(struct policy_file *file) {
    if (!file->path)
        return;
    document_free(&file->document);
    free(file->image);
    free(file->path);
    *file = (struct policy_file){0};
}

const struct policy_header *policy_header_of(const struct policy_file *file) {
    return file->image;
}

void policy_load_or_die(const char *path, struct policy_file *file) {
    struct mistake mistake = {0};
    if (policy_load(path, file, &mistake))
        return;
    if (mistake.line)
        die("cannot read policy \"%s\" line %u: %s", path, mistake.line, mistake.text);
    die("cannot read policy \"%s\": %s", path, mistake.text);
}

/* ---- From the compiled form ---- */

/* A pair "free bits, fixed bits" allows what equals the fixed ones outside the free ones. */
static struct value value_of_mask(int64_t free_bits, int64_t fixed_bits) {
    if (fixed_bits == 0 && free_bits != 0)
        return (struct value){.kind = VALUE_MASK, .low = free_bits};
    if (free_bits == 0)
        return (struct value){.kind = VALUE_INTEGER, .low = fixed_bits};
    return (struct value){.kind = VALUE_RANGE, .low = fixed_bits, .high = fixed_bits | free_bits};
}

static void add_integers(const struct policy_header *policy, const struct policy_constraint *from,
                         struct constraint *constraint) {
    const int64_t *integers = (const int64_t *)policy_section(policy, policy->integers) + from->first;
    uint32_t step = from->kind == CONSTRAINT_INTEGERS ? 1 : 2;
    for (uint32_t i = 0; i + step <= from->count; i += step) {
        struct value value = {.kind = VALUE_INTEGER, .low = integers[i], .high = integers[i + step - 1]};
        if (from->kind == CONSTRAINT_MASK)
            value = value_of_mask(integers[i], integers[i + 1]);
        else if (value.low != value.high)
            value.kind = VALUE_RANGE;
        constraint_add(constraint, value);
    }
}

static enum value_kind value_kind_of(unsigned match) {
    switch (match) {
    case MATCH_PREFIX: return VALUE_PREFIX;
    case MATCH_GLOB: return VALUE_GLOB;
    case MATCH_NULL: return VALUE_NULL;
    default: return VALUE_TEXT;
    }
}

static struct value value_of_string(const struct policy_header *policy, const struct policy_string *string) {
    struct value value = {.kind = value_kind_of(string->match), .position = string->position};
    if (value.kind != VALUE_NULL)
        value.text = xstrndup(policy_text(policy, string->text), string->length);
    if (value.kind == VALUE_TEXT)
        value.constant = string->address;
    return value;
}

static void add_addresses(const struct policy_header *policy, const struct policy_constraint *from,
                          struct constraint *constraint) {
    const struct policy_address *addresses =
        (const struct policy_address *)policy_section(policy, policy->addresses) + from->first;
    for (uint32_t i = 0; i < from->count; i++) {
        struct value value = {.kind = VALUE_ADDRESS, .address = addresses[i]};
        if (addresses[i].match == MATCH_NULL)
            value = (struct value){.kind = VALUE_NULL};
        else if (addresses[i].path_length)
            value.text = xstrndup(policy_text(policy, addresses[i].path), addresses[i].path_length);
        value.address.path = 0;
        value.address.path_length = 0;
        constraint_add(constraint, value);
    }
}

static void add_constraint(const struct policy_header *policy, const struct policy_constraint *from,
                           struct site *site) {
    const struct policy_string *strings = (const struct policy_string *)policy_section(policy, policy->strings);
    switch (from->kind) {
    case CONSTRAINT_CHILDREN:
        for (uint32_t i = 0; i < from->count; i++)
            site_add_child(site, value_of_string(policy, &strings[from->first + i]));
        break;
    case CONSTRAINT_STRINGS:
    case CONSTRAINT_ARGV: {
        struct constraint *constraint = site_constraint(site, from->argument);
        constraint->any = false;
        for (uint32_t i = 0; i < from->count; i++)
            constraint_add(constraint, value_of_string(policy, &strings[from->first + i]));
        break;
    }
    case CONSTRAINT_ADDRESSES: add_addresses(policy, from, site_constraint(site, from->argument)); break;
    default: add_integers(policy, from, site_constraint(site, from->argument)); break;
    }
}

static void add_sites(const struct policy_header *policy, const struct policy_module *from, struct module *module) {
    const struct policy_site *sites =
        (const struct policy_site *)policy_section(policy, policy->sites) + from->first_site;
    const struct policy_constraint *constraints =
        (const struct policy_constraint *)policy_section(policy, policy->constraints);
    for (uint32_t i = 0; i < from->site_count; i++) {
        if (sites[i].api == API_NONE)
            continue;
        struct site *site = module_site(module, sites[i].offset, sites[i].api);
        site->mode = sites[i].mode;
        site->verdict = sites[i].verdict;
        for (uint32_t at = 0; at < sites[i].constraint_count; at++)
            add_constraint(policy, &constraints[sites[i].first_constraint + at], site);
    }
}

static void add_tails(const struct policy_header *policy, const struct policy_module *from, struct module *module) {
    const struct policy_tail *tails =
        (const struct policy_tail *)policy_section(policy, policy->tails) + from->first_tail;
    const uint32_t *members = (const uint32_t *)policy_section(policy, policy->members);
    for (uint32_t i = 0; i < from->tail_count; i++) {
        struct tail *tail = module_add_tail(module, tails[i].target);
        tail->flags = tails[i].flags;
        for (uint32_t at = 0; at < tails[i].member_count; at++)
            tail_add_member(tail, members[tails[i].first_member + at]);
    }
    module->has_tails = from->flags & MODULE_HAS_TAILS;
}

void document_from_compiled(const struct policy_header *policy, struct document *document) {
    document_init(document);
    document->program = xstrdup(policy_text(policy, policy->program_path));
    document->identity = policy->program;
    document->mode = policy->mode;
    document->on_violation = policy->on_violation;
    document->on_broken_stack = policy->on_broken_stack;
    document->on_unknown_stack = policy->on_unknown_stack;
    document->on_unlisted_module = policy->on_unlisted_module;
    document->on_anonymous_code = policy->on_anonymous_code;
    document->on_foreign_stack = policy->on_foreign_stack;
    const struct policy_module *modules = (const struct policy_module *)policy_section(policy, policy->modules);
    const struct policy_loose *loose = (const struct policy_loose *)policy_section(policy, policy->loose);
    const uint32_t *returns = (const uint32_t *)policy_section(policy, policy->returns);
    for (uint32_t i = 0; i < policy->modules.count; i++) {
        struct module *module = document_module(document, &modules[i].identity, policy_text(policy, modules[i].path));
        add_sites(policy, &modules[i], module);
        for (uint32_t at = 0; at < modules[i].loose_count; at++) {
            const struct policy_loose *row = &loose[modules[i].first_loose + at];
            module_add_loose(module, row->api, row->how, "");
        }
        for (uint32_t at = 0; at < modules[i].return_count; at++)
            module_add_return(module, returns[modules[i].first_return + at]);
        add_tails(policy, &modules[i], module);
    }
    document_sort(document);
}

/* ---- What a policy was made for ---- */

enum freshness compare_with_file(const struct identity *expected, const char *root, const char *path,
                                 struct identity *found) {
    cleanup_free char *whole = xasprintf("%s%s", root, path);
    *found = (struct identity){0};
    if (identity_of_file(whole, found))
        return identity_equal(expected, found) ? FRESH : CHANGED;
    return access(whole, F_OK) != 0 && errno == ENOENT ? MISSING : UNREADABLE;
}

char *describe_change(const char *path, const struct identity *expected, const struct identity *found) {
    char old_build[IDENTITY_TEXT_BYTES];
    char new_build[IDENTITY_TEXT_BYTES];
    identity_format(expected, old_build);
    identity_format(found, new_build);
    return xasprintf("policy is for build %s of %s, the file there is build %s: run policygen again", old_build, path,
                     new_build);
}
