/* Breaking lines. */
#include "tools/paragraph.h"

#include <stdio.h>
#include <string.h>

#define WIDTH 100

static void print_line(const char *text, size_t length, size_t indent) {
    size_t column = indent;
    const char *end = text + length;
    while (text < end) {
        size_t word = strcspn(text, " \n");
        if (column > indent && column + 1 + word > WIDTH) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)word, text);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
}

void print_paragraph(const char *text, size_t indent) {
    for (;;) {
        size_t length = strcspn(text, "\n");
        if (*text == ' ')
            printf("%.*s", (int)length, text);
        else
            print_line(text, length, indent);
        putchar('\n');
        if (!text[length])
            return;
        text += length + 1;
        printf("%*s", (int)indent, "");
    }
}
