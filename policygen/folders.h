/* The constants of an object that may name directories: among them are those from which it loads plug-ins. */
#ifndef PINION_POLICYGEN_FOLDERS_H
#define PINION_POLICYGEN_FOLDERS_H

#include "policygen/object.h"

/* Absolute paths in read-only data, without doubles, ordered; to be freed like their array. */
void folders_find(const struct object *object, char ***folders, size_t *count);

#endif
