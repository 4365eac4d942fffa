/* Pictures of scores against time, drawn by gnuplot. */
#ifndef PINION_TOOLS_PLOT_H
#define PINION_TOOLS_PLOT_H

#include "tools/trial.h"

/* Draws the model's scores of each vulnerability's containers, schooled on their own minutes, with thresholds for
 * `rate`, into FOLDER/NAME.svg and NAME.png. Ends the program with the remedy where there is no gnuplot. */
void plots_draw(const struct trials *trials, double rate, const char *folder);

#endif
