/* The compiled policy: from a document to the flat file that the shim maps. Equal parts (texts, lists of values,
 * lists of constraints) are stored once; equal documents give equal bytes.
 */
#define _GNU_SOURCE 1
#include "runtime/document.h"

#include <string.h>

#include "runtime/match.h"
#include "runtime/rule.h"
#include "runtime/util.h"

/* A run of elements in a pool; one without elements marks a free bucket. */
struct run {
    uint64_t hash;
    size_t first, count;
};

/* A growing section in which a run of elements that is there already is found again. */
struct pool {
    size_t element_size;
    char *bytes;
    size_t count, capacity;
    struct run *buckets; /* open addressing */
    size_t bucket_count, run_count;
};

struct compiler {
    const struct document *document;
    struct pool modules, sites, displacements, loose, returns, constraints, integers, strings, addresses, tails,
        members, text;
};

static size_t pool_append(struct pool *pool, const void *elements, size_t count) {
    size_t first = pool->count;
    if (first + count > pool->capacity) {
        pool->capacity = 2 * (first + count);
        pool->bytes = xrealloc(pool->bytes, pool->capacity, pool->element_size);
    }
    if (count != 0)
        memcpy(pool->bytes + first * pool->element_size, elements, count * pool->element_size);
    pool->count += count;
    return first;
}

static uint64_t hash_bytes(const char *bytes, size_t length) {
    uint64_t hash = length;
    for (; length >= 8; bytes += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    for (; length > 0; bytes++, length--)
        hash = (hash ^ (unsigned char)*bytes) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

static struct run *free_bucket(const struct pool *pool, uint64_t hash) {
    size_t mask = pool->bucket_count - 1, i = hash & mask;
    while (pool->buckets[i].count != 0)
        i = (i + 1) & mask;
    return &pool->buckets[i];
}

static bool is_run(const struct pool *pool, const struct run *run, const void *elements, size_t count) {
    return run->count == count && pool->bytes != NULL &&
           memcmp(pool->bytes + run->first * pool->element_size, elements, count * pool->element_size) == 0;
}

/* The bucket of these elements, or the free one where they belong. */
static struct run *find_bucket(const struct pool *pool, uint64_t hash, const void *elements, size_t count) {
    size_t mask = pool->bucket_count - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct run *run = &pool->buckets[i];
        if (run->count == 0)
            return run;
        if (run->hash == hash && is_run(pool, run, elements, count))
            return run;
    }
}

static void grow_buckets(struct pool *pool) {
    cleanup_free struct run *old = pool->buckets;
    size_t old_count = pool->bucket_count;
    pool->bucket_count = old_count == 0 ? 64 : 4 * old_count;
    pool->buckets = xcalloc(pool->bucket_count, sizeof(struct run));
    for (size_t i = 0; i < old_count; i++)
        if (old[i].count != 0)
            *free_bucket(pool, old[i].hash) = old[i];
}

/* The index of the first of these elements in the pool. */
static uint32_t pool_intern(struct pool *pool, const void *elements, size_t count) {
    if (count == 0)
        return 0;
    if (2 * pool->run_count >= pool->bucket_count)
        grow_buckets(pool);
    uint64_t hash = hash_bytes(elements, count * pool->element_size);
    struct run *run = find_bucket(pool, hash, elements, count);
    if (run->count == 0) {
        *run = (struct run){.hash = hash, .first = pool_append(pool, elements, count), .count = count};
        pool->run_count++;
    }
    return (uint32_t)run->first;
}

static void pool_free(struct pool *pool) {
    free(pool->bytes);
    free(pool->buckets);
}

static uint32_t intern_text(struct compiler *compiler, const char *text) {
    return pool_intern(&compiler->text, text, strlen(text) + 1);
}

/* ---- Integers ---- */

struct range {
    int64_t low, high;
};

struct integers {
    int64_t *values;
    size_t count;
};

static void add_pair(struct integers *integers, int64_t first, int64_t second) {
    *array_append(integers->values, integers->count) = first;
    *array_append(integers->values, integers->count) = second;
}

/* A range as the shape reads it: where only 32 bits count it may wrap around and become two. */
static unsigned shape_range(unsigned shape, const struct value *value, struct range ranges[2]) {
    struct range range = {value->low, value->kind == VALUE_RANGE ? value->high : value->low};
    if (range.low > range.high)
        return 0;
    if (shape != SHAPE_INT32 && shape != SHAPE_UINT32) {
        ranges[0] = range;
        return 1;
    }
    struct range all = {shape == SHAPE_INT32 ? INT32_MIN : 0, shape == SHAPE_INT32 ? INT32_MAX : UINT32_MAX};
    struct range read = {rule_integer(shape, (uint64_t)range.low), rule_integer(shape, (uint64_t)range.high)};
    if ((uint64_t)range.high - (uint64_t)range.low >= UINT32_MAX) {
        ranges[0] = all;
        return 1;
    }
    if (read.low <= read.high) {
        ranges[0] = read;
        return 1;
    }
    ranges[0] = (struct range){all.low, read.high};
    ranges[1] = (struct range){read.low, all.high};
    return 2;
}

/* A range as aligned blocks, each "free bits, fixed bits". */
static void add_blocks(struct integers *integers, struct range range) {
    uint64_t low = (uint64_t)range.low, left = (uint64_t)range.high - low;
    for (;;) {
        unsigned bits = low == 0 ? 63 : (unsigned)__builtin_ctzll(low);
        uint64_t block = (UINT64_C(1) << bits) - 1;
        while (block > left)
            block >>= 1;
        add_pair(integers, (int64_t)block, (int64_t)low);
        if (block == left)
            return;
        low += block + 1;
        left -= block + 1;
    }
}

static void add_integer(struct integers *integers, enum constraint_kind kind, unsigned shape,
                        const struct value *value) {
    struct range ranges[2];
    if (value->kind == VALUE_MASK) {
        add_pair(integers, rule_integer(shape, (uint64_t)value->low), 0);
        return;
    }
    unsigned count = shape_range(shape, value, ranges);
    for (unsigned i = 0; i < count; i++) {
        if (kind == CONSTRAINT_INTEGERS)
            *array_append(integers->values, integers->count) = ranges[i].low;
        else if (kind == CONSTRAINT_RANGES)
            add_pair(integers, ranges[i].low, ranges[i].high);
        else
            add_blocks(integers, ranges[i]);
    }
}

static _Noreturn void die_of_value(const struct site *site, const struct constraint *constraint) {
    die("impossible policy: a value of argument %u of %s at 0x%x is of the wrong kind", constraint->argument,
        api_table[site->api].name, site->offset);
}

static struct policy_constraint compile_integers(struct compiler *compiler, const struct site *site,
                                                 const struct constraint *constraint, unsigned shape) {
    enum constraint_kind kind = CONSTRAINT_INTEGERS;
    for (size_t i = 0; i < constraint->value_count; i++) {
        enum value_kind value = constraint->values[i].kind;
        if (value > VALUE_MASK)
            die_of_value(site, constraint);
        if (value == VALUE_MASK)
            kind = CONSTRAINT_MASK;
        else if (value == VALUE_RANGE && kind == CONSTRAINT_INTEGERS)
            kind = CONSTRAINT_RANGES;
    }
    struct integers integers = {0};
    for (size_t i = 0; i < constraint->value_count; i++)
        add_integer(&integers, kind, shape, &constraint->values[i]);
    struct policy_constraint compiled = {
        .kind = kind,
        .first = pool_intern(&compiler->integers, integers.values, integers.count),
        .count = (uint32_t)integers.count,
    };
    free(integers.values);
    return compiled;
}

/* ---- Strings and addresses ---- */

static enum string_match text_match(enum value_kind kind) {
    switch (kind) {
    case VALUE_TEXT: return MATCH_EXACT;
    case VALUE_PREFIX: return MATCH_PREFIX;
    case VALUE_GLOB: return MATCH_GLOB;
    case VALUE_NULL: return MATCH_NULL;
    default: return 0;
    }
}

/* Paths are stored as the shim compares them: normalised. */
static struct policy_string compile_string(struct compiler *compiler, const struct value *value, bool is_path) {
    cleanup_free char *text = xstrdup(value->text != NULL && value->kind != VALUE_NULL ? value->text : "");
    size_t length = strlen(text);
    if (is_path) {
        length = path_normalise(text, length);
        text[length] = '\0';
    }
    return (struct policy_string){
        .text = intern_text(compiler, text),
        .length = (uint32_t)length,
        .address = value->kind == VALUE_TEXT ? value->constant : 0,
        .match = text_match(value->kind),
        .position = value->position,
    };
}

static struct policy_constraint compile_strings(struct compiler *compiler, const struct value *values, size_t count,
                                                enum constraint_kind kind, bool is_path) {
    cleanup_free struct policy_string *strings = xcalloc(count, sizeof(*strings));
    for (size_t i = 0; i < count; i++) {
        strings[i] = compile_string(compiler, &values[i], is_path);
        if (kind != CONSTRAINT_ARGV)
            strings[i].position = 0;
    }
    return (struct policy_constraint){
        .kind = kind,
        .first = pool_intern(&compiler->strings, strings, count),
        .count = (uint32_t)count,
    };
}

static struct policy_constraint compile_addresses(struct compiler *compiler, const struct constraint *constraint) {
    size_t count = constraint->value_count;
    cleanup_free struct policy_address *addresses = xcalloc(count, sizeof(*addresses));
    for (size_t i = 0; i < count; i++) {
        const struct value *value = &constraint->values[i];
        if (value->kind == VALUE_NULL) {
            addresses[i].match = MATCH_NULL;
            continue;
        }
        const char *path = value->text != NULL ? value->text : "";
        addresses[i] = value->address;
        addresses[i].path = intern_text(compiler, path);
        addresses[i].path_length = (uint32_t)strlen(path);
        if (addresses[i].match == 0 || addresses[i].match == MATCH_NULL)
            addresses[i].match = MATCH_EXACT;
        memset(addresses[i].reserved, 0, sizeof(addresses[i].reserved));
    }
    return (struct policy_constraint){
        .kind = CONSTRAINT_ADDRESSES,
        .first = pool_intern(&compiler->addresses, addresses, count),
        .count = (uint32_t)count,
    };
}

static void require_values(const struct site *site, const struct constraint *constraint, bool addresses) {
    for (size_t i = 0; i < constraint->value_count; i++) {
        enum value_kind kind = constraint->values[i].kind;
        bool good = addresses ? kind == VALUE_ADDRESS || kind == VALUE_NULL : text_match(kind) != 0;
        if (!good)
            die_of_value(site, constraint);
    }
}

/* ---- Sites ---- */

/* Returns false where nothing is enforced. */
static bool compile_constraint(struct compiler *compiler, const struct site *site, const struct constraint *constraint,
                               struct policy_constraint *compiled) {
    const struct api *api = &api_table[site->api];
    if (constraint->argument >= api->argument_count)
        die("impossible policy: %s has no argument %u", api->name, constraint->argument);
    const struct argument *argument = &api->arguments[constraint->argument];
    enum shape shape = argument_shape(argument->kind);
    if (constraint->any || shape == SHAPE_OPAQUE)
        return false;
    switch (shape) {
    case SHAPE_PATH:
    case SHAPE_STRING:
        require_values(site, constraint, false);
        *compiled = compile_strings(compiler, constraint->values, constraint->value_count, CONSTRAINT_STRINGS,
                                    shape == SHAPE_PATH);
        break;
    case SHAPE_ARGV:
        require_values(site, constraint, false);
        *compiled = compile_strings(compiler, constraint->values, constraint->value_count, CONSTRAINT_ARGV, false);
        break;
    case SHAPE_SOCKADDR:
    case SHAPE_MSGHDR:
        require_values(site, constraint, true);
        *compiled = compile_addresses(compiler, constraint);
        break;
    default: *compiled = compile_integers(compiler, site, constraint, shape); break;
    }
    compiled->argument = constraint->argument;
    compiled->shape = shape;
    compiled->condition = argument->condition;
    return true;
}

static struct policy_site compile_site(struct compiler *compiler, const struct site *site) {
    if (site->api >= API_COUNT)
        die("impossible policy: function number %u at 0x%x", site->api, site->offset);
    cleanup_free struct policy_constraint *constraints = xcalloc(site->constraint_count + 1, sizeof(*constraints));
    size_t count = 0;
    for (size_t i = 0; i < site->constraint_count; i++)
        if (compile_constraint(compiler, site, &site->constraints[i], &constraints[count]))
            count++;
    if (site->child_count != 0) {
        constraints[count] = compile_strings(compiler, site->children, site->child_count, CONSTRAINT_CHILDREN, true);
        constraints[count++].shape = SHAPE_PATH;
    }
    return (struct policy_site){
        .offset = site->offset,
        .api = site->api,
        .mode = site->mode,
        .verdict = site->verdict,
        .first_constraint = pool_intern(&compiler->constraints, constraints, count),
        .constraint_count = (uint32_t)count,
    };
}

/* ---- The perfect hash: hash and displace, the fullest buckets first ---- */

struct placement {
    size_t key_count;
    uint64_t *hashes;
    uint32_t slot_count, bucket_count;
    uint32_t *bucket_start;  /* of each bucket in `keys`, and the end of the last */
    uint32_t *keys;          /* by bucket */
    uint32_t *bucket_order;  /* the fullest first */
    uint16_t *displacements; /* result: of each bucket */
    uint32_t *slots;         /* result: of each key */
    bool *taken;
};

static void fill_buckets(struct placement *placement) {
    uint32_t *start = placement->bucket_start;
    for (size_t i = 0; i < placement->key_count; i++)
        start[policy_bucket(placement->hashes[i], placement->bucket_count) + 1]++;
    uint32_t fullest = 0;
    for (uint32_t i = 0; i < placement->bucket_count; i++) {
        fullest = start[i + 1] > fullest ? start[i + 1] : fullest;
        start[i + 1] += start[i];
    }
    cleanup_free uint32_t *next = xcalloc(placement->bucket_count, sizeof(uint32_t));
    for (uint32_t i = 0; i < placement->key_count; i++) {
        uint32_t bucket = policy_bucket(placement->hashes[i], placement->bucket_count);
        placement->keys[start[bucket] + next[bucket]++] = i;
    }
    uint32_t ordered = 0;
    for (uint32_t size = fullest + 1; size-- > 0;)
        for (uint32_t i = 0; i < placement->bucket_count; i++)
            if (next[i] == size)
                placement->bucket_order[ordered++] = i;
}

static bool try_displacement(struct placement *placement, uint32_t bucket, uint16_t displacement) {
    uint32_t first = placement->bucket_start[bucket], end = placement->bucket_start[bucket + 1];
    for (uint32_t i = first; i < end; i++) {
        uint32_t key = placement->keys[i];
        uint32_t slot = policy_slot(placement->hashes[key], displacement, placement->slot_count);
        if (placement->taken[slot]) {
            while (i-- > first)
                placement->taken[placement->slots[placement->keys[i]]] = false;
            return false;
        }
        placement->taken[slot] = true;
        placement->slots[key] = slot;
    }
    return true;
}

static bool place_bucket(struct placement *placement, uint32_t bucket) {
    for (uint32_t displacement = 0; displacement <= UINT16_MAX; displacement++) {
        if (try_displacement(placement, bucket, (uint16_t)displacement)) {
            placement->displacements[bucket] = (uint16_t)displacement;
            return true;
        }
    }
    return false;
}

static void placement_free(struct placement *placement) {
    free(placement->bucket_start);
    free(placement->keys);
    free(placement->bucket_order);
    free(placement->displacements);
    free(placement->slots);
    free(placement->taken);
}

static bool try_placement(struct placement *placement) {
    placement->bucket_start = xcalloc(placement->bucket_count + 1, sizeof(uint32_t));
    placement->keys = xcalloc(placement->key_count, sizeof(uint32_t));
    placement->bucket_order = xcalloc(placement->bucket_count, sizeof(uint32_t));
    placement->displacements = xcalloc(placement->bucket_count, sizeof(uint16_t));
    placement->slots = xcalloc(placement->key_count, sizeof(uint32_t));
    placement->taken = xcalloc(placement->slot_count, sizeof(bool));
    fill_buckets(placement);
    for (uint32_t i = 0; i < placement->bucket_count; i++) {
        if (!place_bucket(placement, placement->bucket_order[i])) {
            placement_free(placement);
            return false;
        }
    }
    return true;
}

/* Some sets of keys do not fit at the first size: the next one is a little looser and mixes them differently. */
static void place(struct placement *placement, const char *path) {
    uint32_t count = (uint32_t)placement->key_count;
    placement->slot_count = count + count / 16 + 1;
    placement->bucket_count = count / 3 + 1;
    for (int attempt = 0; attempt < 32; attempt++) {
        if (try_placement(placement))
            return;
        placement->slot_count += placement->slot_count / 16 + 1;
        placement->bucket_count += placement->bucket_count / 8 + 1;
    }
    die("cannot build the table of call sites of \"%s\"", path);
}

static void compile_sites(struct compiler *compiler, const struct module *module, struct policy_module *compiled) {
    compiled->first_site = (uint32_t)compiler->sites.count;
    compiled->first_displacement = (uint32_t)compiler->displacements.count;
    if (module->site_count == 0)
        return;
    cleanup_free uint64_t *hashes = xcalloc(module->site_count, sizeof(*hashes));
    for (size_t i = 0; i < module->site_count; i++)
        hashes[i] = policy_site_hash(module->sites[i].offset, module->sites[i].api);
    struct placement placement = {.key_count = module->site_count, .hashes = hashes};
    place(&placement, module->path);
    cleanup_free struct policy_site *slots = xcalloc(placement.slot_count, sizeof(*slots));
    for (uint32_t i = 0; i < placement.slot_count; i++)
        slots[i].api = API_NONE;
    for (size_t i = 0; i < module->site_count; i++)
        slots[placement.slots[i]] = compile_site(compiler, &module->sites[i]);
    compiled->site_count = placement.slot_count;
    compiled->displacement_count = placement.bucket_count;
    pool_append(&compiler->sites, slots, placement.slot_count);
    pool_append(&compiler->displacements, placement.displacements, placement.bucket_count);
    placement_free(&placement);
}

/* ---- The lists of a module ---- */

static int compare_loose(const void *left, const void *right) {
    const struct policy_loose *a = left, *b = right;
    if (a->api != b->api)
        return a->api < b->api ? -1 : 1;
    return (a->how < b->how) - (a->how > b->how);
}

static void compile_loose(struct compiler *compiler, const struct module *module, struct policy_module *compiled) {
    compiled->first_loose = (uint32_t)compiler->loose.count;
    cleanup_free struct policy_loose *loose = xcalloc(module->loose_count, sizeof(*loose));
    for (size_t i = 0; i < module->loose_count; i++)
        loose[i] = (struct policy_loose){.api = module->loose[i].api, .how = module->loose[i].how};
    qsort(loose, module->loose_count, sizeof(*loose), compare_loose);
    for (size_t i = 0; i < module->loose_count; i++) {
        if (i > 0 && loose[i].api == loose[i - 1].api)
            continue; /* the looser one came first */
        pool_append(&compiler->loose, &loose[i], 1);
        compiled->loose_count++;
    }
}

static int compare_offsets(const void *left, const void *right) {
    const uint32_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static void compile_returns(struct compiler *compiler, const struct module *module, struct policy_module *compiled) {
    compiled->first_return = (uint32_t)compiler->returns.count;
    cleanup_free uint32_t *returns = xcalloc(module->return_count, sizeof(uint32_t));
    for (size_t i = 0; i < module->return_count; i++)
        returns[i] = module->returns[i];
    qsort(returns, module->return_count, sizeof(uint32_t), compare_offsets);
    for (size_t i = 0; i < module->return_count; i++) {
        if (i > 0 && returns[i] == returns[i - 1])
            continue;
        pool_append(&compiler->returns, &returns[i], 1);
        compiled->return_count++;
    }
}

static int compare_tails(const void *left, const void *right) {
    const struct tail *const *a = left, *const *b = right;
    return ((*a)->target > (*b)->target) - ((*a)->target < (*b)->target);
}

/* One entry of the closure from `count` tails of the same target. */
static void compile_tail(struct compiler *compiler, const struct tail *const *tails, size_t count) {
    struct policy_tail compiled = {.target = tails[0]->target};
    uint32_t *members = NULL;
    size_t member_count = 0;
    for (size_t i = 0; i < count; i++) {
        compiled.flags |= tails[i]->flags;
        for (size_t j = 0; j < tails[i]->member_count; j++)
            *array_append(members, member_count) = tails[i]->members[j];
    }
    if (member_count > 1)
        qsort(members, member_count, sizeof(*members), compare_offsets);
    if (member_count > UINT16_MAX) { /* more than anyone would compare */
        compiled.flags |= TAIL_ANYWHERE;
        member_count = 0;
    }
    compiled.member_count = (uint16_t)member_count;
    compiled.first_member = pool_intern(&compiler->members, members, member_count);
    pool_append(&compiler->tails, &compiled, 1);
    free(members);
}

static void compile_tails(struct compiler *compiler, const struct module *module, struct policy_module *compiled) {
    compiled->first_tail = (uint32_t)compiler->tails.count;
    compiled->flags = module->has_tails ? MODULE_HAS_TAILS : 0;
    cleanup_free const struct tail **tails = xcalloc(module->tail_count, sizeof(struct tail *));
    for (size_t i = 0; i < module->tail_count; i++)
        tails[i] = &module->tails[i];
    qsort(tails, module->tail_count, sizeof(struct tail *), compare_tails);
    for (size_t i = 0, count; i < module->tail_count; i += count) {
        for (count = 1; i + count < module->tail_count && tails[i + count]->target == tails[i]->target;)
            count++;
        compile_tail(compiler, &tails[i], count);
        compiled->tail_count++;
    }
}

static void compile_module(struct compiler *compiler, const struct module *module) {
    struct policy_module compiled = {.identity = module->identity, .path = intern_text(compiler, module->path)};
    compile_sites(compiler, module, &compiled);
    compile_loose(compiler, module, &compiled);
    compile_returns(compiler, module, &compiled);
    compile_tails(compiler, module, &compiled);
    pool_append(&compiler->modules, &compiled, 1);
}

/* ---- The file ---- */

struct part {
    const struct pool *pool;
    struct policy_section *section;
};

/* Computes the sections; returns the size of the file. */
static size_t lay_out(const struct part *parts, size_t count, const char *program) {
    size_t offset = sizeof(struct policy_header);
    for (size_t i = 0; i < count; i++) {
        offset = (offset + 7) & ~(size_t)7;
        parts[i].section->offset = (uint32_t)offset;
        parts[i].section->count = (uint32_t)parts[i].pool->count;
        offset += parts[i].pool->count * parts[i].pool->element_size;
        if (offset > POLICY_MAX_BYTES)
            die("the policy of \"%s\" is larger than %u MiB", program, POLICY_MAX_BYTES >> 20);
    }
    return offset;
}

static void *assemble(struct compiler *compiler, struct policy_header *header, size_t *size) {
    const struct part parts[] = {
        {&compiler->modules, &header->modules},
        {&compiler->sites, &header->sites},
        {&compiler->displacements, &header->displacements},
        {&compiler->loose, &header->loose},
        {&compiler->returns, &header->returns},
        {&compiler->constraints, &header->constraints},
        {&compiler->integers, &header->integers},
        {&compiler->strings, &header->strings},
        {&compiler->addresses, &header->addresses},
        {&compiler->tails, &header->tails},
        {&compiler->members, &header->members},
        {&compiler->text, &header->text},
    };
    size_t part_count = sizeof(parts) / sizeof(parts[0]);
    *size = lay_out(parts, part_count, compiler->document->program);
    header->size = (uint32_t)*size;
    char *image = xcalloc(1, *size);
    memcpy(image, header, sizeof(*header));
    for (size_t i = 0; i < part_count; i++)
        if (parts[i].pool->count != 0)
            memcpy(image + parts[i].section->offset, parts[i].pool->bytes,
                   parts[i].pool->count * parts[i].pool->element_size);
    return image;
}

static struct policy_header compile_header(struct compiler *compiler) {
    const struct document *document = compiler->document;
    return (struct policy_header){
        .magic = POLICY_MAGIC,
        .version = POLICY_VERSION,
        .table_fingerprint = api_table_fingerprint(),
        .program = document->identity,
        .program_path = intern_text(compiler, document->program),
        .mode = document->mode,
        .on_violation = document->on_violation,
        .on_broken_stack = document->on_broken_stack,
        .on_unknown_stack = document->on_unknown_stack,
        .on_unlisted_module = document->on_unlisted_module,
        .on_anonymous_code = document->on_anonymous_code,
        .on_foreign_stack = document->on_foreign_stack,
    };
}

static void compiler_free(struct compiler *compiler) {
    struct pool *pools[] = {
        &compiler->modules,  &compiler->sites,   &compiler->displacements, &compiler->loose,
        &compiler->integers, &compiler->strings, &compiler->constraints,   &compiler->addresses,
        &compiler->tails,    &compiler->members, &compiler->text,          &compiler->returns,
    };
    for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++)
        pool_free(pools[i]);
}

void *document_compile(const struct document *document, size_t *size) {
    struct compiler compiler = {
        .document = document,
        .modules.element_size = sizeof(struct policy_module),
        .sites.element_size = sizeof(struct policy_site),
        .displacements.element_size = sizeof(uint16_t),
        .loose.element_size = sizeof(struct policy_loose),
        .returns.element_size = sizeof(uint32_t),
        .constraints.element_size = sizeof(struct policy_constraint),
        .integers.element_size = sizeof(int64_t),
        .strings.element_size = sizeof(struct policy_string),
        .addresses.element_size = sizeof(struct policy_address),
        .tails.element_size = sizeof(struct policy_tail),
        .members.element_size = sizeof(uint32_t),
        .text.element_size = 1,
    };
    intern_text(&compiler, ""); /* offset 0: no text */
    struct policy_header header = compile_header(&compiler);
    for (size_t i = 0; i < document->module_count; i++)
        compile_module(&compiler, &document->modules[i]);
    void *image = assemble(&compiler, &header, size);
    compiler_free(&compiler);
    const char *problem = policy_validate(image, *size);
    if (problem != NULL)
        die("impossible policy of \"%s\": %s", document->program, problem);
    return image;
}
