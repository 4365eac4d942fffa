/* Walks direct jumps, moved-away parts and landing pads from every function: calls by name from other objects, and of
 * exported functions through the own procedure linkage table, may target any. Where a jump leaves the object or goes
 * through a pointer, the closure says only that: everything is possible then.
 */
#include "policygen/tails.h"

#include <stdlib.h>
#include <string.h>

#include "policygen/flow.h"
#include "runtime/policy.h"
#include "runtime/util.h"

/* Real objects stay far below both: 200 functions and some steps per function. Beyond, a closure says "anywhere". */
#define MAX_MEMBERS 4096
#define MAX_STEPS (1u << 24) /* of all walks of an object, and entries of its tables */

struct graph {
    const struct analysis *analysis;
    struct uses edges; /* function -> function; ordered */
    uint16_t *flags;   /* per function */
    uint32_t *visited; /* per function: the number of the last walk that came here */
    uint32_t *queue;
    uint32_t walk;
    size_t steps; /* of all walks */
};

static void add_edge(struct graph *graph, uint32_t from, uint64_t target) {
    uint32_t to = functions_at(&graph->analysis->functions, target);
    if (from != NO_FUNCTION && to != NO_FUNCTION && to != from)
        *array_append(graph->edges.items, graph->edges.count) = (struct use){from, to};
}

/* ---- Parts that only tables refer to ---- */

static bool has_strays(const struct analysis *analysis) {
    for (uint32_t i = 0; i < analysis->functions.count; i++) {
        if (analysis->functions.items[i].fragment && !uses_has(&analysis->jumpers, i) && !analysis->address_taken[i])
            return true;
    }
    return false;
}

enum tables {
    TABLES_NONE,   /* none is known */
    TABLES_INSIDE, /* all lead into the own graph */
    TABLES_LEAVE,  /* some may lead into a part of another */
};

/* Reads on until an entry leads neither into the graph nor into a part of another: too far at worst. `steps` are those of
 * all tables. */
static enum tables read_table(const struct analysis *analysis, uint32_t root, uint32_t start, size_t *steps) {
    const struct object *object = &analysis->object;
    for (uint64_t at = start; object_is_constant(object, at, 4); at += 4) {
        if (++*steps > MAX_STEPS)
            return TABLES_LEAVE;
        const uint8_t *entry = object_at(object, at, 4);
        uint64_t target = entry == NULL ? 0 : start + (uint64_t)(int64_t)(int32_t)read32(entry);
        uint32_t function = functions_at(&analysis->functions, target);
        bool inside = function != NO_FUNCTION && analysis->roots[function] == root;
        if (!inside && function != NO_FUNCTION && analysis->functions.items[function].fragment)
            return TABLES_LEAVE;
        if (!inside)
            return at == start ? TABLES_NONE : TABLES_INSIDE;
    }
    return TABLES_NONE;
}

static int compare_by_target(const void *a, const void *b) {
    const struct data_access *x = a, *y = b;
    return x->target != y->target ? (x->target < y->target ? -1 : 1)
                                  : (x->source > y->source) - (x->source < y->source);
}

/* Whether each switch of a flow graph has a table of its own that stays inside, and no table leaves. Tables are what the
 * addresses that the code computes lead to. */
struct switches {
    uint32_t count, inside;
    uint32_t last; /* table that was read */
    bool leave;
};

static struct switches *find_switches(const struct analysis *analysis) {
    const struct scan *scan = &analysis->scan;
    size_t count = scan->taken_data_count, steps = 0;
    struct switches *switches = xcalloc(analysis->functions.count + 1, sizeof *switches);
    for (size_t i = 0; i < scan->indirect_jump_count; i++)
        switches[analysis->roots[scan->indirect_jumps[i].function]].count += scan->indirect_jumps[i].table;
    cleanup_free struct data_access *taken = xcalloc(count + 1, sizeof *taken);
    if (count > 0)
        memcpy(taken, scan->taken_data, count * sizeof *taken);
    qsort(taken, count, sizeof *taken, compare_by_target);
    for (size_t i = 0; i < count; i++) {
        uint32_t source = functions_at(&analysis->functions, taken[i].source);
        struct switches *own = source == NO_FUNCTION ? NULL : &switches[analysis->roots[source]];
        if (own == NULL || own->count == 0 || own->leave || own->last == taken[i].target)
            continue;
        own->last = taken[i].target;
        enum tables found = read_table(analysis, analysis->roots[source], taken[i].target, &steps);
        own->inside += found == TABLES_INSIDE;
        own->leave = found == TABLES_LEAVE;
    }
    return switches;
}

static bool stay_inside(const struct switches *switches) {
    return !switches->leave && switches->inside >= switches->count;
}

/* Rare: a switch some of whose cases were moved away whole. A flow graph costs much, and most tables show by themselves
 * that they stay inside. */
static void add_strays(struct graph *graph) {
    const struct analysis *analysis = graph->analysis;
    const struct scan *scan = &analysis->scan;
    cleanup_free struct switches *switches = find_switches(analysis);
    cleanup_free bool *done = xcalloc(analysis->functions.count + 1, sizeof *done);
    struct decoder *decoder = decoder_new();
    for (size_t i = 0; i < scan->indirect_jump_count; i++) {
        uint32_t function = scan->indirect_jumps[i].function, root = analysis->roots[function];
        if (!scan->indirect_jumps[i].table || done[function] || stay_inside(&switches[root]))
            continue;
        done[function] = true;
        struct flow *flow = flow_build(analysis, decoder, root);
        for (size_t j = 0; j < flow->stray_count; j++)
            add_edge(graph, function, flow->strays[j]);
        if (flow->unresolved || flow->undecodable)
            graph->flags[function] |= TAIL_ANYWHERE;
        flow_free(flow);
    }
    decoder_free(decoder);
}

/* ---- The graph ---- */

static int compare_uses(const void *a, const void *b) {
    const struct use *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->value < y->value ? -1 : x->value > y->value;
}

static void fill(struct graph *graph) {
    const struct scan *scan = &graph->analysis->scan;
    for (size_t i = 0; i < scan->jump_count; i++)
        add_edge(graph, scan->jumps[i].function, scan->jumps[i].target);
    for (size_t i = 0; i < scan->landing_count; i++)
        add_edge(graph, scan->landings[i].function, scan->landings[i].target);
    for (size_t i = 0; i < scan->import_jump_count; i++) {
        if (scan->import_jumps[i].function != NO_FUNCTION)
            graph->flags[scan->import_jumps[i].function] |= TAIL_LEAVES_MODULE;
    }
    for (size_t i = 0; i < scan->indirect_jump_count; i++) {
        if (!scan->indirect_jumps[i].table)
            graph->flags[scan->indirect_jumps[i].function] |= TAIL_ANYWHERE;
    }
    for (size_t i = 0; i < graph->analysis->functions.count; i++) {
        if (graph->analysis->functions.items[i].undecodable)
            graph->flags[i] |= TAIL_ANYWHERE;
    }
    if (has_strays(graph->analysis))
        add_strays(graph);
    if (graph->edges.count > 0)
        qsort(graph->edges.items, graph->edges.count, sizeof *graph->edges.items, compare_uses);
}

static bool is_too_far(const struct graph *graph, size_t count) {
    return count > MAX_MEMBERS || graph->steps > MAX_STEPS;
}

/* Fills the queue with the functions that can be reached; returns how many, up to a limit. */
static size_t walk(struct graph *graph, uint32_t from, uint16_t *flags) {
    size_t count = 0;
    graph->walk++;
    graph->visited[from] = graph->walk;
    graph->queue[count++] = from;
    for (size_t next = 0; next < count && !is_too_far(graph, count); next++) {
        uint32_t function = graph->queue[next];
        *flags |= graph->flags[function];
        for (size_t i = uses_from(&graph->edges, function);
             i < graph->edges.count && graph->edges.items[i].key == function; i++) {
            uint32_t to = graph->edges.items[i].value;
            graph->steps++;
            if (graph->visited[to] == graph->walk)
                continue;
            graph->visited[to] = graph->walk;
            graph->queue[count++] = to;
        }
    }
    if (is_too_far(graph, count))
        *flags |= TAIL_ANYWHERE;
    return count;
}

static int compare_addresses(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void add_closure(struct analysis *analysis, struct graph *graph, uint32_t function) {
    uint16_t flags = 0;
    size_t count = walk(graph, function, &flags);
    if (count == 1 && flags == 0)
        return;
    struct tail_closure *closure = array_append(analysis->tails, analysis->tail_count);
    closure->target = analysis->functions.items[function].start;
    closure->flags = flags;
    for (size_t i = 0; flags == 0 && i < count; i++) {
        const struct function *member = &analysis->functions.items[graph->queue[i]];
        if (member->kind == FUNCTION_FRAME)
            *array_append(closure->members, closure->member_count) = member->start;
    }
    if (closure->member_count > 0)
        qsort(closure->members, closure->member_count, sizeof *closure->members, compare_addresses);
}

/* Stubs that are called: through them a call leaves the object. */
static void add_stub_targets(const struct analysis *analysis, uint32_t **stubs, size_t *count) {
    for (size_t i = 0; i < analysis->scan.import_call_count; i++) {
        uint32_t return_address = analysis->scan.import_calls[i].return_address;
        const uint8_t *call = object_at(&analysis->object, (uint64_t)return_address - 5, 5);
        bool is_stub = false;
        if (call == NULL || call[0] != 0xe8)
            continue;
        uint64_t target = return_address + (uint64_t)(int64_t)(int32_t)read32(call + 1);
        stub_symbol(&analysis->object, target, &is_stub);
        if (is_stub)
            *array_append(*stubs, *count) = (uint32_t)target;
    }
    if (*count > 0)
        qsort(*stubs, *count, sizeof **stubs, compare_addresses);
}

void tails_find(struct analysis *analysis) {
    size_t functions = analysis->functions.count, count = 0;
    struct graph graph = {.analysis = analysis};
    graph.flags = xcalloc(functions + 1, sizeof *graph.flags);
    graph.visited = xcalloc(functions + 1, sizeof *graph.visited);
    graph.queue = xcalloc(functions + 1, sizeof *graph.queue);
    fill(&graph);
    for (size_t i = 0; i < functions; i++)
        add_closure(analysis, &graph, (uint32_t)i);
    uint32_t *stubs = NULL;
    add_stub_targets(analysis, &stubs, &count);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || stubs[i] != stubs[i - 1])
            *array_append(analysis->tails, analysis->tail_count) =
                (struct tail_closure){.target = stubs[i], .flags = TAIL_LEAVES_MODULE};
    }
    for (size_t i = 0; i < functions; i++)
        analysis->tails_complete |= analysis->functions.items[i].kind == FUNCTION_FRAME;
    free(stubs);
    free(graph.edges.items);
    free(graph.flags);
    free(graph.visited);
    free(graph.queue);
}

void tails_free(struct analysis *analysis) {
    for (size_t i = 0; i < analysis->tail_count; i++)
        free(analysis->tails[i].members);
    free(analysis->tails);
}
