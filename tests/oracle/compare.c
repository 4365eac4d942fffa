/* Compares three accounts of one generated program: what the generator knows, what a run recorded, and what the policy
 * allows. A value that the first two know and the third forbids is unsound; a set that the generator calls provable and
 * that the policy leaves open is a loss of precision, which is counted.
 *
 *   compare EXPECTED POLICY RECORD
 *
 * Prints "unsound ..." and "wrong ..." (the generator's own mistake) lines and, per shape, "shape NAME provable pinned
 * exact". Exit status 1 when something is unsound or wrong.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/match.h"
#include "runtime/rule.h"
#include "runtime/util.h"
#include "tests/oracle/record.h"

#define MAX_FIELDS 128
#define MAX_FILE (64u << 20)

struct site {
    const struct policy_site *site; /* NULL: allowed anywhere, with any arguments */
};

/* One line of the generator. */
struct expectation {
    unsigned number; /* of the case */
    unsigned api, argument;
    const char *state, *shapes;
    char **values;
    size_t value_count;
    struct site *sites; /* from which the call was made */
    size_t site_count;
};

struct comparison {
    const struct policy_header *policy;
    struct expectation *expectations;
    size_t expectation_count;
    bool failed;
};

/* ---- Lines and fields ---- */

static unsigned split(char *line, char **fields) {
    unsigned count = 0;
    for (char *next = line; next != NULL && count < MAX_FIELDS;)
        fields[count++] = strsep(&next, "\t");
    return count;
}

/* Undoes \xx in place and returns the length. */
static size_t unescape(char *text) {
    size_t length = 0;
    for (const char *from = text; *from != '\0'; from++) {
        if (from[0] == '\\' && isxdigit(from[1]) && isxdigit(from[2])) {
            const char digits[] = {from[1], from[2], 0};
            text[length++] = (char)strtoul(digits, NULL, 16);
            from += 2;
        } else {
            text[length++] = *from;
        }
    }
    text[length] = '\0';
    return length;
}

static size_t read_bytes(const char *text, unsigned char *bytes, size_t size) {
    size_t count = 0;
    for (; text[0] != '\0' && text[1] != '\0' && count < size; text += 2) {
        const char digits[] = {text[0], text[1], 0};
        bytes[count++] = (unsigned char)strtoul(digits, NULL, 16);
    }
    return count;
}

/* ---- What the policy allows ---- */

static bool allows_text(const struct policy_header *policy, const struct policy_constraint *constraint,
                        unsigned position, const char *escaped) {
    cleanup_free char *text = xstrdup(escaped);
    size_t length = unescape(text);
    if (constraint->shape == SHAPE_PATH)
        length = path_normalise(text, length);
    return rule_allows_text(policy, constraint, position, text, length);
}

static bool allows_vector(const struct policy_header *policy, const struct policy_constraint *constraint,
                          const char *elements) {
    cleanup_free char *list = xstrdup(elements);
    unsigned count = 0;
    char *next = *list == '\0' ? NULL : list;
    while (next != NULL) {
        const char *element = strsep(&next, ",");
        if (!allows_text(policy, constraint, count++, element))
            return false;
    }
    return rule_allows_end(policy, constraint, count);
}

/* A recorded or expected value, by its first letter. */
static bool allows(const struct policy_header *policy, const struct policy_constraint *constraint, const char *value) {
    unsigned char address[256];
    switch (value[0]) {
    case RECORD_NOTHING: return true;
    case RECORD_INTEGER: return rule_allows_integer(policy, constraint, strtoull(value + 1, NULL, 16));
    case RECORD_NULL: return rule_allows_constant(policy, constraint, 0, 0);
    case RECORD_TEXT: return allows_text(policy, constraint, 0, value + 1);
    case RECORD_VECTOR: return allows_vector(policy, constraint, value + 1);
    case RECORD_ADDRESS:
        return rule_allows_address(policy, constraint, address, read_bytes(value + 1, address, sizeof address));
    default: die("unknown kind of value \"%s\"", value);
    }
}

static const struct policy_constraint *constraint_of(const struct policy_header *policy, const struct site *site,
                                                     unsigned argument) {
    const struct policy_constraint *constraints = policy_section(policy, policy->constraints);
    for (uint32_t i = 0; site->site != NULL && i < site->site->constraint_count; i++) {
        if (constraints[site->site->first_constraint + i].argument == argument)
            return &constraints[site->site->first_constraint + i];
    }
    return NULL;
}

static const struct policy_module *find_module(const struct policy_header *policy, const char *name) {
    const struct policy_module *modules = policy_section(policy, policy->modules);
    for (uint32_t i = 0; i < policy->modules.count; i++) {
        const char *path = policy_text(policy, modules[i].path);
        const char *slash = strrchr(path, '/');
        bool is_program = memcmp(&modules[i].identity, &policy->program, sizeof policy->program) == 0;
        if (strcmp(name, RECORD_PROGRAM) == 0 ? is_program : strcmp(slash == NULL ? path : slash + 1, name) == 0)
            return &modules[i];
    }
    return NULL;
}

/* Where the call comes from, by the policy. Returns false if it may not come from there at all. */
static bool find_site(const struct policy_header *policy, const struct policy_module *module, uint32_t offset,
                      unsigned api, bool direct, struct site *site) {
    site->site = module == NULL ? NULL : policy_find_site(policy, module, offset, api);
    if (site->site != NULL)
        return true;
    unsigned how = module == NULL ? 0 : policy_looseness(policy, module, api);
    return how == LOOSE_AFTER_ANY_CALL ||
           (how == LOOSE_AFTER_INDIRECT_CALL && (!direct || policy_is_return(policy, module, offset)));
}

/* ---- The record ---- */

static struct expectation *find_expectation(struct comparison *comparison, unsigned number, unsigned api) {
    for (size_t i = 0; i < comparison->expectation_count; i++) {
        struct expectation *expectation = &comparison->expectations[i];
        if (expectation->number == number && expectation->api == api)
            return expectation;
    }
    return NULL;
}

static bool is_expected(const struct expectation *expectation, const char *value) {
    for (size_t i = 0; i < expectation->value_count; i++) {
        if (strcmp(expectation->values[i], value) == 0)
            return true;
    }
    return strcmp(expectation->state, "open") == 0;
}

static void add_site(struct expectation *expectation, struct site site) {
    for (size_t i = 0; i < expectation->site_count; i++) {
        if (expectation->sites[i].site == site.site)
            return;
    }
    *array_append(expectation->sites, expectation->site_count) = site;
}

static void check_arguments(struct comparison *comparison, const struct expectation *expectation,
                            const struct site *site, const char *place, char **values, unsigned count) {
    const struct api *api = &api_table[expectation->api];
    for (unsigned i = 0; i < api->argument_count && i < count; i++) {
        const struct policy_constraint *constraint = constraint_of(comparison->policy, site, i);
        if (constraint != NULL && !allows(comparison->policy, constraint, values[i])) {
            printf("unsound case %u (%s): %s at 0x%s passes %s=%s\n", expectation->number, expectation->shapes,
                   api->name, place, api->arguments[i].name, values[i]);
            comparison->failed = true;
        }
    }
}

/* case, module, return address, how it was called, API, arguments */
static void check_line(struct comparison *comparison, char *line) {
    char *fields[MAX_FIELDS];
    unsigned count = split(line, fields);
    if (count < 5)
        die("unreadable line \"%s\" in the record", line);
    unsigned number = (unsigned)strtoul(fields[0], NULL, 16), api = api_by_name(fields[4]);
    struct expectation *expectation = find_expectation(comparison, number, api);
    if (expectation == NULL || expectation->argument + 5 >= count ||
        !is_expected(expectation, fields[expectation->argument + 5])) {
        printf("wrong case %u (%s): %s with %s was not expected\n", number,
               expectation == NULL ? "?" : expectation->shapes, fields[4],
               expectation == NULL ? "" : fields[expectation->argument + 5]);
        comparison->failed = true;
        return;
    }
    struct site site;
    if (!find_site(comparison->policy, find_module(comparison->policy, fields[1]),
                   (uint32_t)strtoul(fields[2], NULL, 16), api, fields[3][0] == RECORD_DIRECT, &site)) {
        printf("unsound case %u (%s): %s returns to 0x%s of %s, which is no site\n", number, expectation->shapes,
               fields[4], fields[2], fields[1]);
        comparison->failed = true;
        return;
    }
    add_site(expectation, site);
    check_arguments(comparison, expectation, &site, fields[2], fields + 5, count - 5);
}

/* ---- The generator's account ---- */

/* Every value must be allowed at one of the sites, also one that no run brought about. */
static void check_expected(struct comparison *comparison, const struct expectation *expectation) {
    for (size_t i = 0; i < expectation->value_count; i++) {
        bool allowed = expectation->site_count == 0;
        for (size_t j = 0; j < expectation->site_count; j++) {
            const struct policy_constraint *constraint =
                constraint_of(comparison->policy, &expectation->sites[j], expectation->argument);
            allowed |= constraint == NULL || allows(comparison->policy, constraint, expectation->values[i]);
        }
        if (!allowed) {
            printf("unsound case %u (%s): no site of %s allows %s\n", expectation->number, expectation->shapes,
                   api_table[expectation->api].name, expectation->values[i]);
            comparison->failed = true;
        }
    }
}

static void print_precision(const struct comparison *comparison, const struct expectation *expectation) {
    bool pinned = true, exact = true;
    if (expectation->site_count == 0)
        return;
    for (size_t i = 0; i < expectation->site_count; i++) {
        const struct policy_constraint *constraint =
            constraint_of(comparison->policy, &expectation->sites[i], expectation->argument);
        pinned &= constraint != NULL;
        exact &=
            constraint != NULL && constraint->count <= expectation->value_count && constraint->kind != CONSTRAINT_MASK;
    }
    cleanup_free char *shapes = xstrdup(expectation->shapes);
    char *next = shapes;
    while (next != NULL) {
        const char *shape = strsep(&next, ",");
        printf("shape\t%s\t%s\t%d\t%d\n", shape, expectation->state, pinned, exact);
    }
    if (!pinned && strcmp(expectation->state, "provable") == 0)
        printf("imprecise case %u (%s): %s\n", expectation->number, expectation->shapes,
               api_table[expectation->api].name);
}

/* case, API, argument, state, shapes, values */
static void read_expectation(struct comparison *comparison, char *line) {
    char *fields[MAX_FIELDS];
    unsigned count = split(line, fields);
    if (count < 5)
        die("unreadable line \"%s\" among the expectations", line);
    struct expectation *expectation = array_append(comparison->expectations, comparison->expectation_count);
    expectation->number = (unsigned)strtoul(fields[0], NULL, 10);
    expectation->api = api_by_name(fields[1]);
    if (expectation->api >= API_COUNT)
        die("unknown API \"%s\" among the expectations", fields[1]);
    const struct api *api = &api_table[expectation->api];
    while (expectation->argument < api->argument_count &&
           strcmp(api->arguments[expectation->argument].name, fields[2]) != 0)
        expectation->argument++;
    expectation->state = fields[3];
    expectation->shapes = fields[4];
    expectation->value_count = count - 5;
    expectation->values = xcalloc(count, sizeof *expectation->values);
    memcpy(expectation->values, fields + 5, (count - 5) * sizeof *fields);
}

/* ---- */

static void for_lines(struct comparison *comparison, char *text,
                      void (*function)(struct comparison *comparison, char *line)) {
    for (char *next = text; next != NULL && *next != '\0';)
        function(comparison, strsep(&next, "\n"));
}

static char *read_all(const char *path, size_t *size) {
    char *text = file_read(path, MAX_FILE, size);
    if (text == NULL)
        die_with_error("cannot read \"%s\"", path);
    return text;
}

int main(int count, char **arguments) {
    if (count != 4)
        die("usage: compare EXPECTED POLICY RECORD");
    size_t size;
    cleanup_free char *expected = read_all(arguments[1], &size);
    cleanup_free char *policy = read_all(arguments[2], &size);
    const char *problem = policy_validate(policy, size);
    if (problem != NULL)
        die("cannot use policy \"%s\": %s", arguments[2], problem);
    cleanup_free char *record = read_all(arguments[3], &size);
    struct comparison comparison = {.policy = (const struct policy_header *)policy};
    for_lines(&comparison, expected, read_expectation);
    for_lines(&comparison, record, check_line);
    for (size_t i = 0; i < comparison.expectation_count; i++) {
        check_expected(&comparison, &comparison.expectations[i]);
        print_precision(&comparison, &comparison.expectations[i]);
        free(comparison.expectations[i].values);
        free(comparison.expectations[i].sites);
    }
    free(comparison.expectations);
    return comparison.failed ? EXIT_FINDINGS : EXIT_FINE;
}
