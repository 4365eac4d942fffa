/* Rules for arguments that point to what the program has built in its frame, or to constant data: texts in buffers,
 * socket addresses, argument vectors.
 */
#ifndef PINION_POLICYGEN_STRUCTURE_H
#define PINION_POLICYGEN_STRUCTURE_H

#include "policygen/memory.h"

/* A call whose arguments are looked at. Texts of rules are handed to the analysis. */
struct structure {
    struct analysis *analysis;
    struct memory *memory;
    uint32_t instruction;
};

/* The texts that a buffer at this place of the frame may hold. */
void structure_text(const struct structure *at, int32_t offset, bool path, struct argument_rule *rule);
/* The texts to which a pointer leads that comes from here; false where they are not all known. */
bool structure_text_from(const struct structure *at, struct pointer_origin origin, bool path,
                         struct argument_rule *rule);
/* A struct sockaddr, whose length is in the argument behind. */
void structure_socket(const struct structure *at, unsigned argument, struct argument_rule *rule);
/* A struct msghdr, of which msg_name counts. */
void structure_message(const struct structure *at, unsigned argument, struct argument_rule *rule);
/* An argument vector, or the arguments themselves from this one on (`listed`: execl and kin). */
void structure_vector(const struct structure *at, unsigned argument, bool listed, struct argument_rule *rule);

#endif
