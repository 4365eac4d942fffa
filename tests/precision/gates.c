/* See gates.h. */
#include "tests/precision/gates.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"
#include "tests/precision/packages.h"

/* ---- Reading ---- */

static bool read_gate(const char *line, struct gates *gates) {
    struct gate gate = {0};
    char direction[8];
    if (sscanf(line, "%31s %lf %lf %7s %lf", gate.name, &gate.recorded, &gate.slack, direction, &gate.reach) != 5)
        return false;
    gate.small = strcmp(direction, "<=") == 0;
    if (!gate.small && strcmp(direction, ">=") != 0)
        return false;
    *array_append(gates->items, gates->count) = gate;
    return true;
}

static bool read_package(const char *line, struct gates *gates) {
    struct package package = {0};
    if (sscanf(line, "package %63s %63s", package.name, package.version) < 1)
        return false;
    *array_append(gates->packages, gates->package_count) = package;
    return true;
}

void gates_read(const char *path, struct gates *gates) {
    cleanup_file FILE *file = fopen(path, "r");
    if (file == NULL)
        die_with_error("cannot read \"%s\"", path);
    char line[256];
    for (unsigned number = 1; fgets(line, sizeof line, file) != NULL; number++) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (!(strncmp(line, "package ", 8) == 0 ? read_package(line, gates) : read_gate(line, gates)))
            die("\"%s\" line %u is neither \"FIGURE RECORDED SLACK >= REACH\" nor \"package NAME VERSION\"", path,
                number);
    }
}

void gates_free(struct gates *gates) {
    free(gates->items);
    free(gates->packages);
}

struct gate *gates_find(struct gates *gates, const char *name) {
    for (size_t i = 0; i < gates->count; i++) {
        if (strcmp(gates->items[i].name, name) == 0)
            return &gates->items[i];
    }
    return NULL;
}

/* ---- Packages ---- */

void gates_print_packages(const struct gates *gates, FILE *out) {
    size_t different = 0;
    for (size_t i = 0; i < gates->package_count; i++) {
        const struct package *package = &gates->packages[i];
        char version[sizeof package->version];
        package_version(package->name, version, sizeof version);
        if (package->version[0] == 0 || strcmp(version, package->version) == 0)
            continue;
        fprintf(out, "%s %s %s, not %s", different++ == 0 ? "other versions than recorded:" : ";", package->name,
                version[0] == 0 ? "not installed" : version, package->version);
    }
    if (different > 0)
        fprintf(out, "\n  The figures depend on what is measured. If only versions changed, look at the difference and "
                     "record anew: make precision RECORD=1\n");
}

bool gates_measure(const struct gates *gates, const char *package) {
    for (size_t i = 0; package != NULL && i < gates->package_count; i++) {
        if (strcmp(gates->packages[i].name, package) == 0)
            return true;
    }
    return false;
}

/* ---- Judging ---- */

static bool is_worse(const struct gate *gate) {
    return gate->small ? gate->measured > gate->recorded + gate->slack : gate->measured < gate->recorded - gate->slack;
}

static bool reaches(const struct gate *gate) {
    return gate->small ? gate->measured <= gate->reach : gate->measured >= gate->reach;
}

size_t gates_judge(const struct gates *gates, FILE *out) {
    size_t worse = 0;
    fprintf(out, "%-22s %9s %9s %6s %10s\n", "figure", "measured", "recorded", "slack", "reach");
    for (size_t i = 0; i < gates->count; i++) {
        const struct gate *gate = &gates->items[i];
        bool bad = is_worse(gate);
        worse += bad;
        fprintf(out, "%-22s %9.2f %9.2f %6.2f %2s %7.2f  %s%s\n", gate->name, gate->measured, gate->recorded,
                gate->slack, gate->small ? "<=" : ">=", gate->reach, reaches(gate) ? "reached" : "not reached",
                bad ? ", WORSE THAN RECORDED" : "");
    }
    return worse;
}

/* ---- Recording ---- */

void gates_record(struct gates *gates, const char *path) {
    struct atomic_file file;
    if (!atomic_file_open(&file, path, 0644))
        die_with_error("cannot write \"%s\"", path);
    fprintf(file.stream,
            "# What make precision measured when it was last recorded (make precision RECORD=1 writes this file).\n"
            "# FIGURE RECORDED SLACK DIRECTION REACH: worse than RECORDED by more than SLACK fails; REACH is the aim "
            "and is\n"
            "# never lowered. The figures belong to these versions of the packages; where others are installed, the "
            "output\n"
            "# names them.\n");
    for (size_t i = 0; i < gates->count; i++) {
        const struct gate *gate = &gates->items[i];
        fprintf(file.stream, "%s %.2f %.2f %s %g\n", gate->name, gate->measured, gate->slack,
                gate->small ? "<=" : ">=", gate->reach);
    }
    for (size_t i = 0; i < gates->package_count; i++) {
        struct package *package = &gates->packages[i];
        package_version(package->name, package->version, sizeof package->version);
        fprintf(file.stream, "package %s %s\n", package->name, package->version);
    }
    if (!atomic_file_commit(&file))
        die_with_error("cannot write \"%s\"", path);
}
