/* Text for people, broken between words. */
#ifndef PINION_TOOLS_PARAGRAPH_H
#define PINION_TOOLS_PARAGRAPH_H

#include <stddef.h>

/* Prints the text; the cursor stands at column `indent` already, further lines begin there. A newline in the text
 * ends a line; lines that begin with a blank are not broken. */
void print_paragraph(const char *text, size_t indent);

#endif
