/* Judging observed facts by a compiled policy: the look-ups and evaluations are the shim's own. */
#include "tests/soundness/soundness.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "preload/calls.h"
#include "runtime/rule.h"
#include "runtime/util.h"
#include "tools/object.h"

/* ---- Loose places ---- */

static struct mapped_module examined; /* whose code is looked at: a file's bytes stand for the mapped module */

const struct mapped_module *module_of_code(uint64_t address) {
    return address >= examined.code_low && address < examined.code_high ? &examined : NULL;
}

/* Where a call leads is of no interest: whether it is one is. */
bool module_copy(uint64_t address, struct mapped_module *copy) {
    (void)address, (void)copy;
    return false;
}

static bool examine(const struct object *object, uint32_t offset) {
    for (size_t i = 0; i < object->program_header_count; i++) {
        const Elf64_Phdr *header = &object->program_headers[i];
        if (header->p_type != PT_LOAD || !(header->p_flags & PF_X) || offset < header->p_vaddr ||
            offset > header->p_vaddr + header->p_filesz)
            continue;
        const void *code = object_at(object, header->p_vaddr, header->p_filesz);
        if (!code)
            return false;
        examined = (struct mapped_module){.code_low = (uint64_t)code,
                                          .code_high = (uint64_t)code + header->p_filesz,
                                          .bias = (uint64_t)code - header->p_vaddr,
                                          .readable_count = 1};
        examined.readable[0].low = examined.code_low;
        examined.readable[0].high = examined.code_high;
        return true;
    }
    return false;
}

bool is_loosely_called(const char *path, uint32_t offset, enum looseness how) {
    struct object object;
    if (!object_open(&object, path))
        return false;
    bool found = examine(&object, offset);
    if (found && how == LOOSE_AFTER_ANY_CALL)
        found = call_before(&examined, examined.bias + offset).kind != CALL_NONE;
    else if (found)
        found = is_after_indirect_call(&examined, examined.bias + offset);
    object_close(&object);
    return found;
}

static bool is_loose(const struct policy_header *policy, const struct policy_module *module, const struct fact *fact) {
    unsigned how = policy_looseness(policy, module, fact->api);
    return how != 0 && (policy_is_return(policy, module, fact->offset) ||
                        is_loosely_called(policy_text(policy, module->path), fact->offset, how));
}

/* ---- Arguments ---- */

/* A socket address as the program passed it, from what the record says of it. */
static size_t rebuild_address(const struct value *seen, struct sockaddr_storage *address) {
    *address = (struct sockaddr_storage){.ss_family = seen->address.family};
    if (seen->address.family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)address;
        in->sin_port = htons(seen->address.port);
        memcpy(&in->sin_addr, seen->address.host, sizeof in->sin_addr);
        return sizeof *in;
    }
    if (seen->address.family == AF_INET6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
        in6->sin6_port = htons(seen->address.port);
        memcpy(&in6->sin6_addr, seen->address.host, sizeof in6->sin6_addr);
        return sizeof *in6;
    }
    if (seen->address.family != AF_UNIX || !seen->text)
        return sizeof address->ss_family;
    struct sockaddr_un *un = (struct sockaddr_un *)address;
    size_t length = strlen(seen->text);
    memcpy(un->sun_path, seen->text, length < sizeof un->sun_path ? length : sizeof un->sun_path);
    if (seen->text[0] == '@')
        un->sun_path[0] = '\0';
    return offsetof(struct sockaddr_un, sun_path) + length;
}

static bool allows_address(const struct policy_header *policy, const struct policy_constraint *constraint,
                           const struct value *seen) {
    if (seen->kind == VALUE_NULL)
        return true; /* of a connected socket: the shim lets it pass */
    struct sockaddr_storage address;
    size_t length = rebuild_address(seen, &address);
    return rule_allows_address(policy, constraint, &address, length);
}

static bool allows(const struct policy_header *policy, const struct policy_constraint *constraint,
                   const struct value *seen) {
    switch ((enum constraint_kind)constraint->kind) {
    case CONSTRAINT_INTEGERS:
    case CONSTRAINT_RANGES:
    case CONSTRAINT_MASK: return rule_allows_integer(policy, constraint, (uint64_t)seen->low);
    case CONSTRAINT_ADDRESSES: return allows_address(policy, constraint, seen);
    case CONSTRAINT_ARGV:
        if (seen->kind == VALUE_NULL)
            return rule_allows_end(policy, constraint, seen->position);
        return rule_allows_text(policy, constraint, seen->position, seen->text, strlen(seen->text));
    case CONSTRAINT_STRINGS:
        if (seen->kind == VALUE_NULL)
            return rule_allows_constant(policy, constraint, 0, 0);
        return rule_allows_text(policy, constraint, 0, seen->text, strlen(seen->text));
    default: return true;
    }
}

static enum outcome judge_argument(const struct policy_header *policy, const struct policy_site *site,
                                   const struct fact *fact) {
    const struct policy_constraint *constraint = policy_section(policy, policy->constraints);
    constraint += site->first_constraint;
    enum outcome outcome = OUTCOME_FREE;
    for (uint32_t i = 0; i < site->constraint_count; i++) {
        if (constraint[i].argument != fact->argument || constraint[i].kind == CONSTRAINT_CHILDREN)
            continue;
        outcome = OUTCOME_ALLOWED;
        if (!allows(policy, &constraint[i], &fact->value))
            return OUTCOME_REFUSED;
    }
    return outcome;
}

/* ---- Facts ---- */

const struct policy_module *module_of(const struct policy_header *policy, const struct identity *identity) {
    const struct policy_module *modules = policy_section(policy, policy->modules);
    for (uint32_t i = 0; i < policy->modules.count; i++)
        if (identity_equal(&modules[i].identity, identity))
            return &modules[i];
    return NULL;
}

enum outcome judge(const struct policy_header *policy, const struct fact *fact) {
    const struct policy_module *module = module_of(policy, &fact->module);
    if (!module)
        return OUTCOME_UNKNOWN_MODULE;
    const struct policy_site *site = policy_find_site(policy, module, fact->offset, fact->api);
    if (site)
        return fact->argument < API_MAX_ARGUMENTS ? judge_argument(policy, site, fact) : OUTCOME_FREE;
    /* What syscall(2) stands in for is judged by that function's own site, where there is one. */
    if (policy_find_site(policy, module, fact->offset, API_syscall))
        return OUTCOME_FREE;
    return is_loose(policy, module, fact) ? OUTCOME_LOOSE : OUTCOME_UNKNOWN_SITE;
}
