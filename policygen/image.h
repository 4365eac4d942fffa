/* The programs of an image: everything in it that can be started. */
#ifndef PINION_POLICYGEN_IMAGE_H
#define PINION_POLICYGEN_IMAGE_H

#include "policygen/loader.h"

/* A file that can be started but not be protected, and why. */
struct unprotected {
    char *path;
    char *why;
};

struct image {
    struct unprotected *unprotected;
    size_t unprotected_count;
};

/* Adds all programs of the loader's root to the loader, except what lies on other file systems than the root itself. */
void image_find(struct image *image, struct loader *loader);
/* Notes a program that cannot be protected. */
void image_add(struct image *image, const char *path, const char *why);
/* Brings them into the order of their paths. */
void image_sort(struct image *image);
void image_free(struct image *image);

#endif
