/* Writing scripts for gnuplot, data included, into its standard input. One panel for each container; time counts from the
 * beginning of the attack.
 */
#include "tools/plot.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "runtime/util.h"
#include "tools/training.h"

#define WIDTH 1200
#define PANEL_HEIGHT 170
#define PANEL_GAP 10
#define BOTTOM_HEIGHT 52
#define FRAME_HEIGHT 120

extern char **environ;

struct plotter {
    pid_t child;
    FILE *script;
};

static struct plotter start(void) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        die_with_error("cannot make a pipe to gnuplot");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
    struct plotter plotter;
    int error = posix_spawnp(&plotter.child, "gnuplot", &actions, NULL, (char *const[]){"gnuplot", "-", NULL}, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[0]);
    if (error == ENOENT)
        die("plots are drawn by gnuplot, which is not installed (Debian: apt-get install gnuplot-nox)");
    errno = error;
    if (error != 0 || (plotter.script = fdopen(ends[1], "w")) == NULL)
        die_with_error("cannot start gnuplot");
    return plotter;
}

static void finish(struct plotter *plotter, const char *name) {
    bool written = !ferror(plotter->script);
    written &= fclose(plotter->script) == 0;
    int status = 0;
    while (waitpid(plotter->child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!written || status != 0)
        die("gnuplot could not draw %s; what it says stands above", name);
}

struct panel {
    const struct subject *subject;
    const struct scored *scored;
    struct threshold threshold;
    double seconds_per_row;
};

static double time_of(const struct panel *panel, size_t row) {
    return ((double)row - (double)panel->subject->normal_count) * panel->seconds_per_row;
}

/* Columns: time, score, the score again where it is over the threshold, the threshold. An idle interval has no score. */
static void write_data(FILE *script, unsigned number, const struct panel *panel) {
    size_t rows = panel->subject->normal_count + panel->subject->attack_count;
    cleanup_free double *thresholds = xcalloc(rows + 1, sizeof *thresholds);
    free(evaluation_alarms(panel->scored, rows, panel->threshold, thresholds));
    fprintf(script, "$panel%u << END\n", number);
    for (size_t row = 0; row < rows; row++) {
        double score = panel->scored->scores[row];
        fprintf(script, "%.2f ", time_of(panel, row));
        if (score == -INFINITY)
            fputs("NaN NaN", script);
        else if (score > thresholds[row])
            fprintf(script, "%.4f %.4f", score, score);
        else
            fprintf(script, "%.4f NaN", score);
        fprintf(script, " %.4f\n", thresholds[row]);
    }
    fputs("END\n", script);
    fprintf(script, "$news%u << END\nNaN\n", number);
    for (size_t row = 0; row < rows; row++)
        if (panel->scored->never_seen[row])
            fprintf(script, "%.2f\n", time_of(panel, row));
    fputs("END\n", script);
}

struct picture {
    const char *name;
    const struct panel *panels;
    unsigned count;
    double from, to, low, high; /* of all panels */
};

/* In gnuplot's quotes nothing but the quote means anything. */
static void put_quoted(FILE *script, const char *text) {
    fputc('\'', script);
    for (; *text; text++) {
        if (*text == '\'')
            fputc('\'', script);
        fputc((unsigned char)*text < ' ' ? '?' : *text, script);
    }
    fputc('\'', script);
}

/* What of the time a column of panels shows: all of it, or the attack from near. */
struct column {
    double left, right; /* margins, of the screen */
    double from, to;
    bool all;
};

static void plot(FILE *script, const struct picture *picture, unsigned number, bool titles) {
    fprintf(script, "set key %s\n", titles ? "at screen 0.985, screen 0.985 right top horizontal maxrows 1" : "off");
    fprintf(script,
            "plot $panel%u using 1:2 with lines linecolor '#4a6fa5' linewidth 1 title 'score', "
            "$panel%u using 1:4 with lines linecolor '#333333' dashtype 2 linewidth 1 title 'threshold', "
            "$panel%u using 1:3 with points pointtype 7 pointsize 0.55 linecolor '#c0392b' title 'over the threshold', "
            "$news%u using 1:(%.3f) with points pointtype 11 pointsize 0.7 linecolor '#7d3c98' "
            "title 'never-seen call', "
            "NaN with boxes fillstyle solid linecolor '#f6d8a8' title 'attack'\n",
            number, number, number, number, picture->high - 0.06 * (picture->high - picture->low));
}

static void draw_panel(FILE *script, const struct picture *picture, unsigned number, const struct column *column,
                       unsigned height) {
    const struct panel *panel = &picture->panels[number];
    bool last = number + 1 == picture->count;
    double end = time_of(panel, panel->subject->normal_count + panel->subject->attack_count);
    double bottom = BOTTOM_HEIGHT + (picture->count - 1.0 - number) * PANEL_HEIGHT;
    fprintf(script, "set lmargin at screen %.3f\nset rmargin at screen %.3f\n", column->left, column->right);
    fprintf(script, "set bmargin at screen %.4f\nset tmargin at screen %.4f\n", bottom / height,
            (bottom + PANEL_HEIGHT - PANEL_GAP) / height);
    fprintf(script, "set xrange [%.3f:%.3f]\n", column->from, column->to);
    if (column->all)
        fprintf(script, "set label 1 'container %u' at graph 0.01, graph 0.91 font ',10'\n", panel->subject->container);
    else
        fputs("unset label 1\n", script);
    fprintf(
        script,
        "set object 1 rectangle from 0, graph 0 to %.2f, graph 1 behind fillcolor '#f6d8a8' fillstyle solid noborder\n",
        end);
    fprintf(script, "set format x '%s'\nset xlabel '%s'\n", last ? "%g" : "",
            !last         ? ""
            : column->all ? "seconds from the beginning of the attack"
                          : "the attack from near");
    fprintf(script, "set format y '%s'\nset ylabel '%s' offset 1\n", column->all ? "%g" : "",
            column->all ? "score, log2" : "");
    plot(script, picture, number, column->all && number == 0);
}

static void draw(FILE *script, const struct picture *picture, const char *terminal, const char *path) {
    unsigned height = FRAME_HEIGHT + PANEL_HEIGHT * picture->count;
    const struct column columns[] = {
        {0.06, 0.7, picture->from, picture->to, true},
        {0.72, 0.985, -fmax(1, picture->to / 4), picture->to, false},
    };
    fprintf(script, "set terminal %s noenhanced size %d,%u font 'sans,11'\nset output ", terminal, WIDTH, height);
    put_quoted(script, path);
    fputs("\nset multiplot\nset label 2 ", script);
    put_quoted(script, picture->name);
    fprintf(script, " at screen 0.015, screen %.4f font ',14'\n", 1 - 20.0 / height);
    fprintf(script, "set yrange [%.3f:%.3f]\n", picture->low, picture->high);
    fputs("set border 3 linecolor '#777777'\nset tics nomirror scale 0.5 textcolor '#333333'\n"
          "set xtics autofreq\nset ytics autofreq\nset grid ytics linecolor '#e4e4e4' linetype 1\n",
          script);
    for (size_t column = 0; column < sizeof columns / sizeof columns[0]; column++)
        for (unsigned i = 0; i < picture->count; i++) {
            draw_panel(script, picture, i, &columns[column], height);
            fputs("unset label 2\n", script);
        }
    fputs("unset multiplot\nunset output\nunset object 1\n", script);
}

static void measure(struct picture *picture) {
    picture->low = INFINITY;
    picture->high = -INFINITY;
    for (unsigned i = 0; i < picture->count; i++) {
        const struct panel *panel = &picture->panels[i];
        size_t rows = panel->subject->normal_count + panel->subject->attack_count;
        picture->from = fmin(picture->from, time_of(panel, 0));
        picture->to = fmax(picture->to, time_of(panel, rows));
        picture->high = fmax(picture->high, panel->threshold.value + 1);
        for (size_t row = 0; row < rows; row++) {
            picture->high = fmax(picture->high, panel->scored->scores[row]);
            if (panel->scored->scores[row] > -INFINITY)
                picture->low = fmin(picture->low, panel->scored->scores[row]);
        }
    }
    picture->low = floor(picture->low);
    picture->high = ceil(picture->high + 0.25 * (picture->high - picture->low));
    picture->to *= 1.05;
}

static void draw_vulnerability(const struct trials *trials, size_t vulnerability, double rate, const char *folder) {
    const struct evaluation_data *data = trials->data;
    struct panel *panels = NULL;
    size_t count = 0;
    for (size_t i = 0; i < data->subject_count; i++) {
        if (data->subjects[i].vulnerability != vulnerability)
            continue;
        const struct scored *scored = &trials->of[SCHOOLING_OWN][i].scored[DETECTOR_MODEL];
        *array_append(panels, count) =
            (struct panel){.subject = &data->subjects[i],
                           .scored = scored,
                           .threshold = {threshold_for(scored->held, scored->held_count, rate), rate},
                           .seconds_per_row = data->recordings[vulnerability].interval_ms / 1000.0};
    }
    if (count == 0)
        return;
    struct picture picture = {.name = data->names[vulnerability], .panels = panels, .count = (unsigned)count};
    measure(&picture);
    cleanup_free char *svg = xasprintf("%s/%s.svg", folder, picture.name);
    cleanup_free char *png = xasprintf("%s/%s.png", folder, picture.name);
    struct plotter plotter = start();
    for (unsigned i = 0; i < picture.count; i++)
        write_data(plotter.script, i, &panels[i]);
    draw(plotter.script, &picture, "svg background '#ffffff'", svg);
    draw(plotter.script, &picture, "pngcairo", png);
    finish(&plotter, picture.name);
    free(panels);
}

void plots_draw(const struct trials *trials, double rate, const char *folder) {
    if (mkdir(folder, 0755) != 0 && errno != EEXIST)
        die_with_error("cannot make the folder \"%s\"", folder);
    signal(SIGPIPE, SIG_IGN); /* a gnuplot that ends early is told by its status */
    for (size_t i = 0; i < trials->data->recording_count; i++)
        draw_vulnerability(trials, i, rate, folder);
}
