/* What the verbs of `pinion` share. A verb is one file; it may use runtime/, never preload/ or policygen/. Exit
 * statuses: EXIT_FINE, EXIT_FINDINGS (a person should look at something), EXIT_ERROR (the work was not done).
 */
#ifndef PINION_TOOLS_VERB_H
#define PINION_TOOLS_VERB_H

struct verb;

/* argv[0] is the verb's name; argv ends with NULL. Returns the exit status. */
typedef int verb_handler(const struct verb *verb, int argc, char **argv);

struct verb {
    const char *name;
    const char *summary;
    verb_handler *handler;
};

verb_handler verb_run;
verb_handler verb_learn;
verb_handler verb_merge;
verb_handler verb_check;
verb_handler verb_show;
verb_handler verb_explain;
verb_handler verb_doctor;
verb_handler verb_counts;
verb_handler verb_record;
verb_handler verb_train;
verb_handler verb_score;
verb_handler verb_signature;
verb_handler verb_events;
verb_handler verb_evaluate;
verb_handler verb_recipe;
verb_handler verb_incidents;
verb_handler verb_patch;
verb_handler verb_patchd;

#endif
