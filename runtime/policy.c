/* Validating a compiled policy and looking things up in it. The shim runs this in every process: no library call,
 * no write, no recursion; after policy_validate every offset in the file is trusted.
 */
#include "runtime/policy.h"

#define LAST_SHAPE SHAPE_OPAQUE
#define LAST_CONDITION WHEN_REMAP_FIXED
#define LAST_KIND CONSTRAINT_CHILDREN

struct section_size {
    const struct policy_section *section;
    size_t element_size;
};

static bool same_bytes(const char *a, const char *b, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

/* Element `first + count - 1` lies in a section of `total`. */
static inline bool within(uint32_t first, uint32_t count, uint32_t total) {
    return (uint64_t)first + count <= total;
}

static inline bool is_mode(unsigned mode) {
    return mode - MODE_ENFORCE <= MODE_OFF - MODE_ENFORCE;
}

static inline bool is_verdict(unsigned verdict) {
    return verdict - VERDICT_KILL <= VERDICT_ALLOW - VERDICT_KILL;
}

static bool is_identity(const struct identity *identity) {
    return identity->kind <= IDENTITY_DERIVED && identity->length <= IDENTITY_BYTES;
}

static bool sections_fit(const struct policy_header *policy) {
    const struct section_size sections[] = {
        {&policy->modules, sizeof(struct policy_module)},
        {&policy->sites, sizeof(struct policy_site)},
        {&policy->displacements, sizeof(uint16_t)},
        {&policy->loose, sizeof(struct policy_loose)},
        {&policy->returns, sizeof(uint32_t)},
        {&policy->constraints, sizeof(struct policy_constraint)},
        {&policy->integers, sizeof(int64_t)},
        {&policy->strings, sizeof(struct policy_string)},
        {&policy->addresses, sizeof(struct policy_address)},
        {&policy->tails, sizeof(struct policy_tail)},
        {&policy->members, sizeof(uint32_t)},
        {&policy->text, 1},
    };
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        const struct policy_section *section = sections[i].section;
        uint64_t end = section->offset + (uint64_t)section->count * sections[i].element_size;
        if (section->offset % 8 != 0 || section->offset < sizeof(*policy) || end > policy->size)
            return false;
    }
    return true;
}

static const char *validate_header(const struct policy_header *policy, size_t size) {
    if (size < sizeof(*policy))
        return "it is shorter than a policy's header";
    if ((uintptr_t)policy % 8 != 0)
        return "it is not aligned in memory";
    if (!same_bytes(policy->magic, POLICY_MAGIC, sizeof(policy->magic)))
        return "it is no compiled policy";
    if (policy->version != POLICY_VERSION)
        return "it has another version of the format";
    if (policy->size != size || size > POLICY_MAX_BYTES)
        return "it is cut off or too long";
    if (policy->table_fingerprint != api_table_fingerprint())
        return "it was compiled by another version of Pinion";
    if (!is_mode(policy->mode))
        return "its mode is none";
    if (!is_verdict(policy->on_violation) || !is_verdict(policy->on_broken_stack) ||
        !is_verdict(policy->on_unknown_stack) || !is_verdict(policy->on_unlisted_module) ||
        !is_verdict(policy->on_anonymous_code) || !is_verdict(policy->on_foreign_stack))
        return "one of its verdicts is none";
    if (!is_identity(&policy->program))
        return "the identity of its program is damaged";
    if (!sections_fit(policy))
        return "one of its sections lies outside the file";
    /* So every text ends, wherever it begins. */
    if (policy->text.count == 0 || policy_text(policy, 0)[policy->text.count - 1] != '\0')
        return "its texts do not end";
    if (policy->program_path >= policy->text.count)
        return "the path of its program lies outside its texts";
    return NULL;
}

/* The ranges of the modules follow one another and fill their sections: each element belongs to one module, which
 * also keeps the checks per module linear. */
static const char *validate_modules(const struct policy_header *policy) {
    const struct policy_module *modules = policy_section(policy, policy->modules);
    uint64_t sites = 0, displacements = 0, loose = 0, returns = 0, tails = 0;
    for (uint32_t i = 0; i < policy->modules.count; i++) {
        const struct policy_module *module = &modules[i];
        if (!is_identity(&module->identity) || module->path >= policy->text.count ||
            (module->flags & ~(uint32_t)MODULE_HAS_TAILS) != 0)
            return "a module is damaged";
        if (module->first_site != sites || module->first_displacement != displacements ||
            module->first_loose != loose || module->first_return != returns || module->first_tail != tails)
            return "the parts of a module do not follow those of the one before";
        if (module->site_count != 0 && module->displacement_count == 0)
            return "a module's sites cannot be looked up";
        sites += module->site_count;
        displacements += module->displacement_count;
        loose += module->loose_count;
        returns += module->return_count;
        tails += module->tail_count;
    }
    if (sites != policy->sites.count || displacements != policy->displacements.count || loose != policy->loose.count ||
        returns != policy->returns.count || tails != policy->tails.count)
        return "the parts of the modules do not fill their sections";
    return NULL;
}

static const char *validate_sites(const struct policy_header *policy) {
    const struct policy_site *sites = policy_section(policy, policy->sites);
    uint32_t constraints = policy->constraints.count;
    for (uint32_t i = 0; i < policy->sites.count; i++) {
        const struct policy_site *site = &sites[i];
        /* API_NONE becomes zero. */
        if ((uint16_t)(site->api + 1) > API_COUNT || site->mode > MODE_OFF || site->verdict > VERDICT_ALLOW ||
            !within(site->first_constraint, site->constraint_count, constraints))
            return "a call site is damaged";
    }
    return NULL;
}

static const char *validate_constraints(const struct policy_header *policy) {
    const struct policy_constraint *constraints = policy_section(policy, policy->constraints);
    const uint32_t total[LAST_KIND + 1] = {
        [CONSTRAINT_INTEGERS] = policy->integers.count, [CONSTRAINT_RANGES] = policy->integers.count,
        [CONSTRAINT_MASK] = policy->integers.count,     [CONSTRAINT_STRINGS] = policy->strings.count,
        [CONSTRAINT_ARGV] = policy->strings.count,      [CONSTRAINT_ADDRESSES] = policy->addresses.count,
        [CONSTRAINT_CHILDREN] = policy->strings.count,
    };
    const uint32_t odd_bits[LAST_KIND + 1] = {[CONSTRAINT_RANGES] = 1, [CONSTRAINT_MASK] = 1};
    for (uint32_t i = 0; i < policy->constraints.count; i++) {
        const struct policy_constraint *constraint = &constraints[i];
        unsigned kind = constraint->kind;
        if (kind - 1u >= LAST_KIND || constraint->argument >= API_MAX_ARGUMENTS || constraint->shape > LAST_SHAPE ||
            constraint->condition > LAST_CONDITION || !within(constraint->first, constraint->count, total[kind]) ||
            (constraint->count & odd_bits[kind]) != 0)
            return "the rule of an argument is damaged";
    }
    return NULL;
}

static const char *validate_strings(const struct policy_header *policy) {
    const struct policy_string *strings = policy_section(policy, policy->strings);
    const char *text = policy_text(policy, 0);
    for (uint32_t i = 0; i < policy->strings.count; i++) {
        const struct policy_string *string = &strings[i];
        uint64_t end = (uint64_t)string->text + string->length;
        if (end >= policy->text.count || text[end] != '\0' || string->match - 1u >= MATCH_NULL)
            return "a string is damaged";
    }
    return NULL;
}

static const char *validate_addresses(const struct policy_header *policy) {
    const struct policy_address *addresses = policy_section(policy, policy->addresses);
    const char *text = policy_text(policy, 0);
    for (uint32_t i = 0; i < policy->addresses.count; i++) {
        const struct policy_address *address = &addresses[i];
        uint64_t end = (uint64_t)address->path + address->path_length;
        if (end >= policy->text.count || text[end] != '\0' || address->match - 1u >= MATCH_NULL ||
            (address->flags & ~(ADDRESS_ANY_PORT | ADDRESS_ANY_HOST)) != 0)
            return "a socket address is damaged";
    }
    return NULL;
}

static const char *validate_loose(const struct policy_header *policy, const struct policy_module *module) {
    const struct policy_loose *loose =
        (const struct policy_loose *)policy_section(policy, policy->loose) + module->first_loose;
    for (uint32_t i = 0; i < module->loose_count; i++)
        if (loose[i].api >= API_COUNT || loose[i].how - 1u >= LOOSE_AFTER_ANY_CALL ||
            (i > 0 && loose[i].api <= loose[i - 1].api))
            return "a module's list of loosely called functions is damaged";
    return NULL;
}

static const char *validate_returns(const struct policy_header *policy, const struct policy_module *module) {
    const uint32_t *returns = (const uint32_t *)policy_section(policy, policy->returns) + module->first_return;
    for (uint32_t i = 1; i < module->return_count; i++)
        if (returns[i] <= returns[i - 1])
            return "a module's list of return addresses is damaged";
    return NULL;
}

static const char *validate_tails(const struct policy_header *policy, const struct policy_module *module) {
    const struct policy_tail *tails =
        (const struct policy_tail *)policy_section(policy, policy->tails) + module->first_tail;
    uint32_t members = policy->members.count;
    for (uint32_t i = 0; i < module->tail_count; i++)
        if (!within(tails[i].first_member, tails[i].member_count, members) ||
            (tails[i].flags & ~(TAIL_LEAVES_MODULE | TAIL_ANYWHERE)) != 0 ||
            (i > 0 && tails[i].target <= tails[i - 1].target))
            return "a module's tail calls are damaged";
    return NULL;
}

static const char *validate_lists(const struct policy_header *policy) {
    const struct policy_module *modules = policy_section(policy, policy->modules);
    for (uint32_t i = 0; i < policy->modules.count; i++) {
        const char *problem = validate_loose(policy, &modules[i]);
        if (problem == NULL)
            problem = validate_returns(policy, &modules[i]);
        if (problem == NULL)
            problem = validate_tails(policy, &modules[i]);
        if (problem != NULL)
            return problem;
    }
    return NULL;
}

const char *policy_validate(const void *data, size_t size) {
    const struct policy_header *policy = data;
    const char *problem = validate_header(policy, size);
    if (problem == NULL)
        problem = validate_modules(policy);
    if (problem == NULL)
        problem = validate_sites(policy);
    if (problem == NULL)
        problem = validate_constraints(policy);
    if (problem == NULL)
        problem = validate_strings(policy);
    if (problem == NULL)
        problem = validate_addresses(policy);
    if (problem == NULL)
        problem = validate_lists(policy);
    return problem;
}

unsigned policy_looseness(const struct policy_header *policy, const struct policy_module *module, unsigned api) {
    const struct policy_loose *loose =
        (const struct policy_loose *)policy_section(policy, policy->loose) + module->first_loose;
    uint32_t low = 0, high = module->loose_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (loose[middle].api == api)
            return loose[middle].how;
        if (loose[middle].api < api)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

bool policy_is_return(const struct policy_header *policy, const struct policy_module *module, uint32_t offset) {
    const uint32_t *returns = (const uint32_t *)policy_section(policy, policy->returns) + module->first_return;
    uint32_t low = 0, high = module->return_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (returns[middle] == offset)
            return true;
        if (returns[middle] < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

const struct policy_tail *policy_find_tail(const struct policy_header *policy, const struct policy_module *module,
                                           uint32_t target) {
    const struct policy_tail *tails =
        (const struct policy_tail *)policy_section(policy, policy->tails) + module->first_tail;
    uint32_t low = 0, high = module->tail_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (tails[middle].target == target)
            return &tails[middle];
        if (tails[middle].target < target)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* Arrays of characters, not of pointers: the shim's tables need no relocation. */
#define REASON(name, text, explanation) [REASON_##name] = text,
static const char reason_texts[REASON_COUNT][24] = {
#include "runtime/reasons.def"
};

#define REASON(name, text, explanation) [REASON_##name] = explanation,
static const char reason_explanations[REASON_COUNT][104] = {
#include "runtime/reasons.def"
};

static const char mode_names[][8] = {
    [MODE_INHERIT] = "inherit", [MODE_ENFORCE] = "enforce", [MODE_AUDIT] = "audit",
    [MODE_LEARN] = "learn",     [MODE_OFF] = "off",
};

static const char verdict_names[][8] = {
    [VERDICT_INHERIT] = "inherit", [VERDICT_KILL] = "kill",   [VERDICT_DENY] = "deny",
    [VERDICT_LOG] = "log",         [VERDICT_ALLOW] = "allow",
};

const char *reason_text(enum reason reason) {
    return (unsigned)reason < REASON_COUNT ? reason_texts[reason] : "";
}

const char *reason_explanation(enum reason reason) {
    return (unsigned)reason < REASON_COUNT ? reason_explanations[reason] : "";
}

const char *mode_name(enum mode mode) {
    return (unsigned)mode <= MODE_OFF ? mode_names[mode] : "";
}

const char *verdict_name(enum verdict verdict) {
    return (unsigned)verdict <= VERDICT_ALLOW ? verdict_names[verdict] : "";
}
