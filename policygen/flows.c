/* Keeps flow graphs for as long as values are followed from one function to the next. */
#include "policygen/flows.h"

#include <stdlib.h>

#include "policygen/address_list.h"
#include "policygen/escape.h"
#include "runtime/util.h"

/* Some 30 MB. */
#define MAX_INSTRUCTIONS_HELD 200000

struct flows {
    const struct analysis *analysis;
    struct decoder *decoder;
    struct flow **by_root; /* per function */
    uint32_t *held;        /* roots whose graphs are there */
    size_t held_count;
    size_t instruction_count;
};

struct flows *flows_new(const struct analysis *analysis) {
    struct flows *flows = xcalloc(1, sizeof *flows);
    flows->analysis = analysis;
    flows->decoder = decoder_new();
    flows->by_root =
        xcalloc(analysis->functions.count + 1, sizeof *flows->by_root); /* NOLINT(bugprone-sizeof-expression) */
    return flows;
}

static void drop_all(struct flows *flows) {
    for (size_t i = 0; i < flows->held_count; i++) {
        flow_free(flows->by_root[flows->held[i]]);
        flows->by_root[flows->held[i]] = NULL;
    }
    flows->held_count = 0;
    flows->instruction_count = 0;
}

void flows_free(struct flows *flows) {
    if (flows == NULL)
        return;
    drop_all(flows);
    decoder_free(flows->decoder);
    free(flows->by_root);
    free(flows->held);
    free(flows);
}

const struct flow *flows_get(struct flows *flows, uint32_t root) {
    if (flows->by_root[root] == NULL) {
        struct flow *flow = flow_build(flows->analysis, flows->decoder, root);
        flow->escape = flow->taken_count > 0 ? escape_find(flow) : NULL;
        flow->lists = address_lists_find(flow);
        flows->by_root[root] = flow;
        flows->instruction_count += flow->instruction_count;
        *array_append(flows->held, flows->held_count) = root;
    }
    return flows->by_root[root];
}

void flows_trim(struct flows *flows) {
    if (flows->instruction_count > MAX_INSTRUCTIONS_HELD)
        drop_all(flows);
}

const struct analysis *flows_analysis(const struct flows *flows) {
    return flows->analysis;
}
