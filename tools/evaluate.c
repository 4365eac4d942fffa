/* `pinion evaluate`: how well recorded attacks are detected, how often normal operation is in alarm, and whether the
 * model is worth more than plainer detectors. Thresholds come from training data; where they do not, it says so.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/figures.h"
#include "tools/json.h"
#include "tools/options.h"
#include "tools/plot.h"

static struct {
    const char *rate, *strict_rate, *seed, *plots;
    bool json;
} settings;

static const struct option_row options[] = {
    OPTION_TEXT("rate", 0, "SHARE", &settings.rate,
                "choose thresholds for this share of false alarms per interval (0.0015)"),
    OPTION_TEXT("strict-rate", 0, "SHARE", &settings.strict_rate, "the same for the strict setting (0.0003)"),
    OPTION_TEXT("seed", 0, "N", &settings.seed, "of the pseudo-random order of training (1)"),
    OPTION_TEXT("plots", 'p', "DIR", &settings.plots, "draw each attack's scores into this folder, as SVG and PNG"),
    OPTION_FLAG("json", 'j', &settings.json, "print one JSON object"),
};

static const char details[] =
    "DIR holds one file NAME.csv.gz for each vulnerability, a recording of several containers: rows of split\n"
    "train-normal (traces train1, train2, ...: three minutes of each container in turn), validation-normal and attack\n"
    "(traces c1, c2, ...). For each attack a model is trained twice: on the container's own minutes, and on those of\n"
    "the other containers (cold). A false alarm is an interval in alarm before the attack; an attack is detected when\n"
    "an alarm begins inside it. Chance is the share of windows as long as the attack, in normal operation, in which "
    "an\n"
    "alarm begins. The same data and options give the same figures.\n"
    "\n"
    "Exit status: 0 measured, 2 error.\n";

/* ---- What is compared ---- */

struct setting {
    const char *name, *prefix; /* in tables, and of JSON keys */
    enum schooling schooling;
    bool strict;
};

static const struct setting all_settings[] = {
    {"own", "", SCHOOLING_OWN, false},
    {"own, strict", "strict_", SCHOOLING_OWN, true},
    {"cold", "cold_", SCHOOLING_COLD, false},
    {"cold, strict", "cold_strict_", SCHOOLING_COLD, true},
};

enum {
    SETTING_COUNT = sizeof all_settings / sizeof all_settings[0]
};

static const struct {
    const char *name, *key;
} detectors[DETECTOR_COUNT] = {
    [DETECTOR_MODEL] = {"the model", "model"},
    [DETECTOR_PCA] = {"PCA(10) residual or never-seen call", "pca"},
    [DETECTOR_ZSCORE] = {"mean squared z-score or never-seen call", "zscore"},
    [DETECTOR_NEVER_SEEN] = {"never-seen call alone", "never_seen"},
};

static const double roc_points[] = {0.05, 0.25, 0.8};

enum {
    ROC_POINTS = sizeof roc_points / sizeof roc_points[0]
};

struct report {
    const struct evaluation_data *data;
    const struct trials *trials;
    double rate, strict_rate;
    struct figures figures[SETTING_COUNT][DETECTOR_COUNT];
    double equal[SETTING_COUNT][DETECTOR_COUNT]; /* detected at as many false alarms as the model has */
    struct figures roc[SCHOOLING_COUNT][DETECTOR_COUNT][ROC_POINTS];
    struct identification identification;
};

static double rate_of(const struct report *report, const struct setting *setting) {
    return setting->strict ? report->strict_rate : report->rate;
}

static void compare(struct report *report) {
    for (int i = 0; i < SETTING_COUNT; i++)
        for (int detector = 0; detector < DETECTOR_COUNT; detector++) {
            const struct setting *setting = &all_settings[i];
            struct contestant contestant = {report->trials, setting->schooling, (enum detector)detector};
            struct figures *figures = &report->figures[i][detector];
            *figures = figures_of(&contestant, EVERY_VULNERABILITY, (struct choice){.rate = rate_of(report, setting)});
            report->equal[i][detector] =
                detector == DETECTOR_MODEL
                    ? detected_pct(figures)
                    : detected_at_false_alarms(&contestant, false_alarm_pct(&report->figures[i][DETECTOR_MODEL]));
        }
    for (int schooling = 0; schooling < SCHOOLING_COUNT; schooling++)
        for (int detector = 0; detector < DETECTOR_COUNT; detector++)
            for (int point = 0; point < ROC_POINTS; point++)
                report->roc[schooling][detector][point] = figures_of(
                    &(struct contestant){report->trials, (enum schooling)schooling, (enum detector)detector},
                    EVERY_VULNERABILITY, (struct choice){.rate = roc_points[point] / 100, .on_test_data = true});
    report->identification = figures_identify(report->trials);
}

/* ---- Text ---- */

static void print_line(const char *name, const struct figures *figures) {
    char lead[16] = "-";
    if (!isnan(figures->lead))
        snprintf(lead, sizeof lead, "%.1f s", figures->lead);
    printf("%-16s %7.2f %% %9.1f %7.2f %% %7zu of %-3zu %8s %6.1f %%\n", name, false_alarm_pct(figures),
           alarms_per_hour(figures), figures->worst_pct, figures->detected, figures->attacks, lead,
           figures->chance_pct);
}

static void print_vulnerabilities(const struct report *report, const struct setting *setting, const char *title) {
    struct contestant contestant = {report->trials, setting->schooling, DETECTOR_MODEL};
    printf("\n%s, thresholds for %g %% false alarms\n", title, 100 * rate_of(report, setting));
    printf("%-16s %9s %9s %9s %14s %8s %8s\n", "vulnerability", "false", "alarms/h", "worst", "detected", "lead",
           "chance");
    for (size_t i = 0; i < report->data->recording_count; i++) {
        struct figures figures = figures_of(&contestant, i, (struct choice){.rate = rate_of(report, setting)});
        print_line(report->data->names[i], &figures);
    }
    print_line("all", &report->figures[setting - all_settings][DETECTOR_MODEL]);
    const struct figures *strict = &report->figures[setting - all_settings + 1][DETECTOR_MODEL];
    print_line("all, strict", strict);
}

static void print_detectors(const struct report *report) {
    printf("\nBeside plainer detectors, their thresholds chosen the same way: false alarms / detected\n%-40s", "");
    for (int i = 0; i < SETTING_COUNT; i++)
        printf(" %16s", all_settings[i].name);
    for (int detector = 0; detector < DETECTOR_COUNT; detector++) {
        printf("\n%-40s", detectors[detector].name);
        for (int i = 0; i < SETTING_COUNT; i++) {
            const struct figures *figures = &report->figures[i][detector];
            printf("  %5.2f %% / %4.1f %%", false_alarm_pct(figures), detected_pct(figures));
        }
    }
    printf("\n\nAt equal false alarms the model detects so many points more (+) or fewer (-) than\n%-40s", "");
    for (int i = 0; i < SETTING_COUNT; i++)
        printf(" %16s", all_settings[i].name);
    for (int detector = DETECTOR_MODEL + 1; detector < DETECTOR_COUNT; detector++) {
        printf("\n%-40s", detectors[detector].name);
        for (int i = 0; i < SETTING_COUNT; i++)
            printf(" %+16.1f", report->equal[i][DETECTOR_MODEL] - report->equal[i][detector]);
    }
    putchar('\n');
}

static void print_roc(const struct report *report) {
    static const char *const names[SCHOOLING_COUNT] = {"own", "cold"};
    printf(
        "\nROC, THRESHOLDS CHOSEN ON THE TEST DATA, container by container: an upper mark, not what can be had\n%-40s",
        "");
    for (int schooling = 0; schooling < SCHOOLING_COUNT; schooling++)
        for (int point = 0; point < ROC_POINTS; point++) {
            char heading[24];
            snprintf(heading, sizeof heading, "%s, <= %.2f %%", names[schooling], roc_points[point]);
            printf(" %16s", heading);
        }
    for (int detector = 0; detector < DETECTOR_COUNT; detector++) {
        printf("\n%-40s", detectors[detector].name);
        for (int schooling = 0; schooling < SCHOOLING_COUNT; schooling++)
            for (int point = 0; point < ROC_POINTS; point++) {
                const struct figures *figures = &report->roc[schooling][detector][point];
                printf("  %5.2f %% / %4.1f %%", false_alarm_pct(figures), detected_pct(figures));
            }
    }
    putchar('\n');
}

static void print_text(const struct report *report) {
    const struct figures *all = &report->figures[0][DETECTOR_MODEL];
    printf("%zu attacks on %zu vulnerabilities, %.1f container-hours of normal operation\n", all->attacks,
           report->data->recording_count, all->hours);
    print_vulnerabilities(report, &all_settings[0], "Trained on the container's own minutes");
    print_vulnerabilities(report, &all_settings[2], "Trained on the other containers only");
    print_detectors(report);
    print_roc(report);
    const struct identification *identification = &report->identification;
    printf(
        "\nSignatures, learned on the other containers: right %.1f %%, wrong %.1f %% of all attacks; a vulnerability "
        "that was\nnot learned is named in %.1f %%, a false alarm in %.1f %%\n",
        identification->right_pct, identification->wrong_pct, identification->absent_named_pct,
        identification->false_alarm_named_pct);
}

/* ---- JSON ---- */

static double rounded(double number) {
    return round(number * 1000) / 1000;
}

static void put(json_t *object, const char *detector, const char *prefix, const char *figure, double value) {
    cleanup_free char *key = xasprintf("%s%s%s%s", detector, detector[0] ? "_" : "", prefix, figure);
    json_object_set_new(object, key, isnan(value) ? json_null() : json_real(rounded(value)));
}

static void put_figures(json_t *object, const char *prefix, const struct figures *figures) {
    put(object, "", prefix, "false_alarm_pct", false_alarm_pct(figures));
    put(object, "", prefix, "detected_pct", detected_pct(figures));
    put(object, "", prefix, "chance_pct", figures->chance_pct);
    put(object, "", prefix, "alarms_per_hour", alarms_per_hour(figures));
    put(object, "", prefix, "worst_container_pct", figures->worst_pct);
    put(object, "", prefix, "lead_s", figures->lead);
}

static void put_baselines(json_t *object, const struct report *report) {
    for (int detector = DETECTOR_MODEL + 1; detector < DETECTOR_COUNT; detector++)
        for (int i = 0; i < SETTING_COUNT; i++) {
            const char *key = detectors[detector].key, *prefix = all_settings[i].prefix;
            const struct figures *figures = &report->figures[i][detector];
            put(object, key, prefix, "false_alarm_pct", false_alarm_pct(figures));
            put(object, key, prefix, "detected_pct", detected_pct(figures));
            put(object, key, prefix, "detected_at_equal_false_alarms_pct", report->equal[i][detector]);
        }
}

static json_t *json_of_vulnerabilities(const struct report *report) {
    json_t *list = json_array();
    for (size_t i = 0; i < report->data->recording_count; i++) {
        json_t *object = json_pack("{s:o}", "name", json_text(report->data->names[i]));
        for (int k = 0; k < SETTING_COUNT; k++) {
            const struct setting *setting = &all_settings[k];
            struct contestant contestant = {report->trials, setting->schooling, DETECTOR_MODEL};
            struct figures figures = figures_of(&contestant, i, (struct choice){.rate = rate_of(report, setting)});
            put_figures(object, setting->prefix, &figures);
        }
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *json_of_roc(const struct report *report) {
    json_t *object = json_object();
    for (int detector = 0; detector < DETECTOR_COUNT; detector++)
        for (int schooling = 0; schooling < SCHOOLING_COUNT; schooling++)
            for (int point = 0; point < ROC_POINTS; point++) {
                char figure[40];
                snprintf(figure, sizeof figure, "detected_at_%.2f_pct", roc_points[point]);
                put(object, detectors[detector].key, schooling == SCHOOLING_COLD ? "cold_" : "", figure,
                    detected_pct(&report->roc[schooling][detector][point]));
            }
    return object;
}

static void print_json(const struct report *report) {
    json_t *object = json_object();
    put(object, "", "", "rate_pct", 100 * report->rate);
    put(object, "", "", "strict_rate_pct", 100 * report->strict_rate);
    for (int i = 0; i < SETTING_COUNT; i++)
        put_figures(object, all_settings[i].prefix, &report->figures[i][DETECTOR_MODEL]);
    put(object, "", "", "signature_right_pct", report->identification.right_pct);
    put(object, "", "", "signature_wrong_pct", report->identification.wrong_pct);
    put(object, "", "", "absent_named_pct", report->identification.absent_named_pct);
    put(object, "", "", "false_alarm_named_pct", report->identification.false_alarm_named_pct);
    put_baselines(object, report);
    json_object_set_new(object, "roc_with_thresholds_chosen_on_test_data", json_of_roc(report));
    json_object_set_new(object, "vulnerabilities", json_of_vulnerabilities(report));
    json_print(object);
}

int verb_evaluate(const struct verb *verb, int argc, char **argv) {
    struct usage usage = {.verb = verb,
                          .arguments = "DIR",
                          .details = details,
                          .options = options,
                          .option_count = sizeof options / sizeof options[0]};
    size_t words = options_read(&usage, argc, argv);
    if (words != 1)
        options_mistake(&usage, words == 0 ? "which folder of recorded attacks?" : "one folder at a time");
    struct trial_plan plan = {.training = training_defaults, .progress = isatty(STDERR_FILENO)};
    double strict_rate = TRAINING_STRICT_RATE;
    if (settings.rate)
        plan.training.rate = options_share(&usage, "rate", settings.rate);
    if (settings.strict_rate)
        strict_rate = options_share(&usage, "strict-rate", settings.strict_rate);
    if (settings.seed)
        plan.training.seed = options_number(&usage, "seed", settings.seed, UINT32_MAX);
    struct evaluation_data data;
    struct trials trials;
    evaluation_read(argv[1], &data);
    trials_run(&data, &plan, &trials);
    struct report *report = xcalloc(1, sizeof *report);
    *report = (struct report){.data = &data, .trials = &trials, .rate = plan.training.rate, .strict_rate = strict_rate};
    compare(report);
    if (settings.json)
        print_json(report);
    else
        print_text(report);
    if (settings.plots)
        plots_draw(&trials, report->rate, settings.plots);
    free(report);
    trials_free(&trials);
    evaluation_free(&data);
    return EXIT_FINE;
}
