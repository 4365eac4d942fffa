/* What the fields of the nodes hold that getaddrinfo makes: the C library bounds an address family, and by the hints
 * that it is handed the type of a socket and the protocol. Nodes lie on the heap and belong to the program from then
 * on, so a field is known only where the one pointer to the list has not got about and nothing was stored into a node.
 */
#ifndef PINION_POLICYGEN_ADDRESS_LIST_H
#define PINION_POLICYGEN_ADDRESS_LIST_H

#include "policygen/flow.h"
#include "policygen/value.h"

struct address_lists;

/* NULL where the function makes no list. For finished flow graphs. */
struct address_lists *address_lists_find(const struct flow *flow);
void address_lists_free(struct address_lists *lists);

/* What an instruction loads from memory, if that is a field of a node; false where nothing is known of it. */
bool address_lists_load(const struct address_lists *lists, struct arena *arena, uint32_t instruction, unsigned size,
                        struct abstract *value);

#endif
