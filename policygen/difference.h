/* What one set of policies allows and another does not.
 *
 * The result is one JSON object, from which the text is made as well:
 *
 *   old, new              the names of both sides
 *   critical              whether something critical is added
 *   counts                added, dropped, widened, narrowed, critical
 *   apis_added, apis_dropped
 *                         functions that a program calls for the first time, or no more: api, class, critical, programs
 *   changes               each with
 *     change              added, dropped, widened or narrowed
 *     what                call site, argument, child, verdict, loose function, setting or program
 *     critical
 *     module, function, api, class        of a site, an argument, a child, a verdict
 *     argument, allows, no_longer         of an argument: the values that come and go; null stands for any value
 *     rules                               of a site: argument -> values, or null
 *     as_elsewhere                        of a site: the other build of the module has one with the same rules
 *     name, before, after                 of a setting or verdict
 *     modules, why                        of a loose function
 *     programs                            in which it is so
 */
#ifndef PINION_POLICYGEN_DIFFERENCE_H
#define PINION_POLICYGEN_DIFFERENCE_H

#include <jansson.h>

#include "policygen/policies.h"

json_t *policies_difference(const struct policies *old, const struct policies *new);

/* Classes whose functions take the system over where they are misused. */
bool class_is_critical(enum api_class class);

#endif
