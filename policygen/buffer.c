/* From writes to texts. A text that depends on itself, as in a loop that appends, is not known.
 */
#include "policygen/buffer.h"

#include <stdlib.h>
#include <string.h>

#include "policygen/heap.h"
#include "runtime/util.h"

#define MAX_DEPTH 5
#define MAX_CONSTANT 512
#define MAX_ORIGINS 64 /* of one pointer, directly or not */

static struct templates any(struct memory *memory) {
    struct templates texts = {.count = 0};
    templates_any(&memory->arena, &texts);
    return texts;
}

/* A size that is always the same, or -1. */
static int64_t only_size(struct memory *memory, uint32_t call, unsigned argument) {
    struct abstract value = memory_argument(memory, call, argument);
    bool one = value.unknown == UNKNOWN_NOTHING && value.count == 1 && value.elements[0].kind == ELEMENT_INTEGER;
    return one ? value.elements[0].value : -1;
}

static bool only_byte(struct memory *memory, uint32_t before, int32_t offset, char *byte) {
    struct abstract value = memory_read(memory, before, offset, 1);
    bool one = value.unknown == UNKNOWN_NOTHING && value.count == 1 && value.elements[0].kind == ELEMENT_INTEGER;
    *byte = one ? (char)value.elements[0].value : '\0';
    return one;
}

/* Bytes that are constants: stored one by one, word by word or by memcpy. `ended`: the NUL is among them. */
static struct template read_constant_text(struct memory *memory, uint32_t before, int32_t offset, bool *ended) {
    char text[MAX_CONSTANT];
    size_t length = 0;
    *ended = false;
    while (length < sizeof text && only_byte(memory, before, offset + (int32_t)length, &text[length])) {
        *ended = text[length] == '\0';
        if (*ended)
            break;
        length++;
    }
    return template_text(&memory->arena, text, length);
}

/* ---- Strings that are handed to functions ---- */

static const char *constant_text(const struct memory *memory, struct element element) {
    const struct object *object = &memory->flow->analysis->object;
    bool is_address = element.kind == ELEMENT_ADDRESS ||
                      (element.kind == ELEMENT_INTEGER && object->type == ET_EXEC && element.value != 0);
    return is_address ? object_string(object, (uint64_t)element.value) : NULL;
}

static struct templates texts_of_value(struct memory *memory, uint32_t call, struct abstract value) {
    struct templates texts = {.count = 0};
    if (value.unknown != UNKNOWN_NOTHING || value.count == 0 || value.count > TEMPLATE_MAX_TEXTS)
        return any(memory);
    for (unsigned i = 0; i < value.count; i++) {
        const char *constant = constant_text(memory, value.elements[i]);
        if (constant != NULL) {
            templates_add(&memory->arena, &texts, template_text(&memory->arena, constant, strlen(constant)));
        } else if (value.elements[i].kind == ELEMENT_STACK) {
            struct templates inner;
            buffer_texts(memory, call, (int32_t)value.elements[i].value, &inner);
            for (unsigned j = 0; j < inner.count; j++)
                templates_add(&memory->arena, &texts, inner.items[j]);
        } else {
            return any(memory);
        }
    }
    return texts;
}

static struct templates texts_of_argument(struct memory *memory, uint32_t call, unsigned argument) {
    return texts_of_value(memory, call, memory_argument(memory, call, argument));
}

/* At most so many bytes of each. */
static void limit_length(struct memory *memory, struct templates *texts, int64_t length) {
    if (length < 0)
        templates_any(&memory->arena, texts);
    else
        templates_cut(&memory->arena, texts, (uint64_t)length + 1);
}

/* ---- printf ---- */

struct printing {
    struct memory *memory;
    uint32_t call;
    unsigned next; /* argument */
    unsigned floats;
    struct templates texts;
    bool ended; /* what follows may be cut off by a NUL, or is not understood */
};

static void append(struct printing *printing, struct template template) {
    struct templates right = {.count = 0};
    templates_add(&printing->memory->arena, &right, template);
    templates_join(&printing->memory->arena, &printing->texts, &right);
}

static void append_rest(struct printing *printing) {
    append(printing, template_piece(&printing->memory->arena, PIECE_ANY, TEMPLATE_UNBOUNDED));
    printing->ended = true;
}

static void print_string(struct printing *printing, const struct conversion *conversion) {
    struct memory *memory = printing->memory;
    struct templates texts = texts_of_argument(memory, printing->call, printing->next++);
    if (conversion->precision >= 0)
        limit_length(memory, &texts, conversion->precision);
    templates_join(&memory->arena, &printing->texts, &texts);
}

/* A NUL ends the text. */
static void print_character(struct printing *printing) {
    int64_t byte = only_size(printing->memory, printing->call, printing->next++);
    char text[1] = {(char)byte};
    if (byte < 0 || text[0] == '\0')
        append_rest(printing);
    else
        append(printing, template_text(&printing->memory->arena, text, 1));
}

static void print_conversion(struct printing *printing, const struct conversion *conversion) {
    struct arena *arena = &printing->memory->arena;
    printing->next += conversion->stars;
    switch (conversion->letter) {
    case '%': append(printing, template_text(arena, "%", 1)); return;
    case 's': print_string(printing, conversion); return;
    case 'c': print_character(printing); return;
    case 'S':
        printing->next++;
        append_rest(printing);
        return;
    case 'm': break;
    default:
        printing->next += !conversion->floating;
        printing->floats += conversion->floating;
        if (printing->floats > 8) {
            append_rest(printing);
            return;
        }
    }
    append(printing, template_piece(arena, conversion->kind, conversion->longest));
}

static struct templates print_format(struct memory *memory, uint32_t call, const char *format, unsigned first) {
    struct printing printing = {.memory = memory, .call = call, .next = first};
    printing.texts.count = 1;
    printing.texts.items[0] = template_text(&memory->arena, "", 0);
    while (*format != '\0' && !printing.ended) {
        size_t plain = strcspn(format, "%");
        append(&printing, template_text(&memory->arena, format, plain));
        format += plain;
        struct conversion conversion;
        if (*format == '\0')
            break;
        if (!template_conversion(format, &conversion))
            append_rest(&printing);
        else
            print_conversion(&printing, &conversion);
        format = conversion.end;
    }
    return printing.texts;
}

static struct templates print(struct memory *memory, uint32_t call, unsigned format, unsigned first) {
    struct abstract value = memory_argument(memory, call, format);
    struct templates texts = {.count = 0};
    if (value.unknown != UNKNOWN_NOTHING || value.count == 0 || value.count > TEMPLATE_MAX_TEXTS)
        return any(memory);
    for (unsigned i = 0; i < value.count; i++) {
        const char *constant = constant_text(memory, value.elements[i]);
        if (constant == NULL)
            return any(memory);
        struct templates made = print_format(memory, call, constant, first);
        for (unsigned j = 0; j < made.count; j++)
            templates_add(&memory->arena, &texts, made.items[j]);
    }
    return texts;
}

/* ---- Writes ---- */

static struct templates cut_to(struct memory *memory, uint32_t call, unsigned argument, struct templates texts) {
    int64_t room = only_size(memory, call, argument);
    if (room <= 0)
        return any(memory);
    templates_cut(&memory->arena, &texts, (uint64_t)room);
    return texts;
}

static bool all_fit(const struct templates *texts, int64_t room) {
    for (unsigned i = 0; i < texts->count; i++) {
        if (room <= 0 || texts->items[i].longest >= (uint64_t)room)
            return false;
    }
    return true;
}

/* Where a size says how much of a text is copied: all of it, or nothing is known. */
static struct templates copied_whole(struct memory *memory, uint32_t call) {
    struct templates texts = texts_of_argument(memory, call, 1);
    int64_t size = only_size(memory, call, 2);
    return all_fit(&texts, size) ? texts : any(memory);
}

static struct templates appended(struct memory *memory, uint32_t call, int32_t offset, unsigned model) {
    struct templates left, right = texts_of_argument(memory, call, 1);
    buffer_texts(memory, call, offset, &left);
    if (model == EFFECT_APPEND_PART)
        limit_length(memory, &right, only_size(memory, call, 2));
    templates_join(&memory->arena, &left, &right);
    return model == EFFECT_APPEND_CUT ? cut_to(memory, call, 2, left) : left;
}

static struct templates called_texts(struct memory *memory, uint32_t call, int32_t offset) {
    const struct effect *effect = memory->escape->effects[call];
    if (effect == NULL)
        return any(memory);
    switch ((enum effect_model)effect->model) {
    case EFFECT_TEXT: return texts_of_argument(memory, call, 1);
    case EFFECT_COPY:
    case EFFECT_TEXT_PADDED: return copied_whole(memory, call);
    case EFFECT_TEXT_CUT: return cut_to(memory, call, 2, texts_of_argument(memory, call, 1));
    case EFFECT_APPEND:
    case EFFECT_APPEND_PART:
    case EFFECT_APPEND_CUT: return appended(memory, call, offset, effect->model);
    case EFFECT_PRINT: return print(memory, call, 1, 2);
    case EFFECT_PRINT_CHECKED: return print(memory, call, 3, 4);
    case EFFECT_PRINT_CUT: return cut_to(memory, call, 1, print(memory, call, 2, 3));
    case EFFECT_PRINT_CUT_CHECKED: return cut_to(memory, call, 1, print(memory, call, 4, 5));
    default: return any(memory);
    }
}

/* A single store that holds the whole text, such as the NUL of an empty one. */
static struct templates stored_text(struct memory *memory, const struct memory_source *source) {
    char text[8];
    for (unsigned i = 0; i < sizeof text && source->write.offset + (int32_t)i < source->write.end; i++) {
        struct abstract value = memory_source_value(memory, source, i, 1);
        if (value.unknown != UNKNOWN_NOTHING || value.count != 1 || value.elements[0].kind != ELEMENT_INTEGER)
            break;
        text[i] = (char)value.elements[0].value;
        if (text[i] != '\0')
            continue;
        struct templates texts = {.count = 0};
        templates_add(&memory->arena, &texts, template_text(&memory->arena, text, i));
        return texts;
    }
    return any(memory);
}

static struct templates source_texts(struct memory *memory, const struct memory_source *source) {
    bool call = memory->flow->instructions[source->instruction].operation == OPERATION_CALL;
    struct templates texts =
        call ? called_texts(memory, source->instruction, source->write.offset) : stored_text(memory, source);
    if (source->limit == MEMORY_NO_LIMIT || all_fit(&texts, source->limit))
        return texts;
    return any(memory);
}

/* A text of which nothing is known byte by byte. */
static struct templates written_texts(struct memory *memory, uint32_t before, int32_t offset) {
    struct memory_sources sources = memory_sources(memory, before, offset, 0);
    struct templates texts = {.count = 0};
    for (size_t i = 0; i < sources.count && sources.known; i++) {
        struct templates made = source_texts(memory, &sources.items[i]);
        for (unsigned j = 0; j < made.count; j++)
            templates_add(&memory->arena, &texts, made.items[j]);
    }
    free(sources.items);
    return sources.known && texts.count > 0 ? texts : any(memory);
}

void buffer_texts(struct memory *memory, uint32_t before, int32_t offset, struct templates *texts) {
    if (memory->texts >= MAX_DEPTH) {
        templates_any(&memory->arena, texts);
        return;
    }
    memory->texts++;
    bool ended;
    struct template start = read_constant_text(memory, before, offset, &ended);
    *texts = (struct templates){.count = 1, .items = {start}};
    if (!ended) {
        struct templates rest = written_texts(memory, before, offset + (int32_t)start.count);
        templates_join(&memory->arena, texts, &rest);
    }
    memory->texts--;
}

/* ---- Pointers ---- */

/* What pointers lead to. */
struct pointed {
    struct memory *memory;
    uint32_t before;
    struct templates *texts;
    bool null; /* one of them may be NULL */
    unsigned origins;
};

static void point_to(struct pointed *pointed, struct templates texts) {
    for (unsigned i = 0; i < texts.count; i++)
        templates_add(&pointed->memory->arena, pointed->texts, texts.items[i]);
}

static struct templates printed_or_copied(struct memory *memory, uint32_t call) {
    const struct effect *effect = memory->escape->effects[call];
    switch (effect == NULL ? EFFECT_OTHER : (enum effect_model)effect->model) {
    case EFFECT_NEW_TEXT: return texts_of_argument(memory, call, 0);
    case EFFECT_NEW_PRINT: return print(memory, call, 0, 1);
    case EFFECT_LEAVE_PRINT: return print(memory, call, 1, 2);
    case EFFECT_LEAVE_PRINT_CHECKED: return print(memory, call, 2, 3);
    default: return any(memory);
    }
}

/* What a call made in new memory, where there was any. Behind a call that failed to leave an address, C does not define
 * what is there; some put NULL there. */
static void point_to_new(struct pointed *pointed, uint32_t call) {
    struct memory *memory = pointed->memory;
    bool untouched = heap_is_untouched(memory, call, pointed->before);
    point_to(pointed, untouched ? printed_or_copied(memory, call) : any(memory));
    pointed->null = true;
}

static bool leaves_new(const struct memory *memory, const struct memory_source *source) {
    const struct effect *effect = memory->escape->effects[source->instruction];
    return effect != NULL && (effect->model == EFFECT_LEAVE_PRINT || effect->model == EFFECT_LEAVE_PRINT_CHECKED);
}

static void follow_origin(struct pointed *pointed, struct pointer_origin origin);

static void follow_value(struct pointed *pointed, struct abstract value) {
    if (value.unknown != UNKNOWN_NOTHING && value.origin_count == 0)
        point_to(pointed, any(pointed->memory));
    for (unsigned i = 0; i < value.origin_count; i++)
        follow_origin(pointed, value.origins[i]);
    for (unsigned i = 0; i < value.count; i++) {
        if (value.elements[i].kind == ELEMENT_INTEGER && value.elements[i].value == 0) {
            pointed->null = true;
            continue;
        }
        struct abstract one = {.elements = &value.elements[i], .count = 1};
        point_to(pointed, texts_of_value(pointed->memory, pointed->before, one));
    }
}

/* A pointer that was loaded is what the writes before put there. */
static void follow_load(struct pointed *pointed, struct pointer_origin origin) {
    struct memory_sources sources = memory_sources(pointed->memory, origin.instruction, origin.offset, 8);
    if (!sources.known)
        point_to(pointed, any(pointed->memory));
    for (size_t i = 0; i < sources.count && sources.known; i++) {
        const struct memory_source *source = &sources.items[i];
        unsigned skipped = (unsigned)(origin.offset - source->write.offset);
        if (skipped == 0 && leaves_new(pointed->memory, source))
            point_to_new(pointed, source->instruction);
        else
            follow_value(pointed, memory_source_value(pointed->memory, source, skipped, 8));
    }
    free(sources.items);
}

static void follow_origin(struct pointed *pointed, struct pointer_origin origin) {
    if (pointed->memory->texts >= MAX_DEPTH || ++pointed->origins > MAX_ORIGINS) {
        point_to(pointed, any(pointed->memory));
        return;
    }
    pointed->memory->texts++;
    if (origin.offset == POINTER_RESULT)
        point_to_new(pointed, origin.instruction);
    else
        follow_load(pointed, origin);
    pointed->memory->texts--;
}

void buffer_texts_from(struct memory *memory, uint32_t before, struct pointer_origin origin, struct templates *texts,
                       bool *null) {
    struct pointed pointed = {.memory = memory, .before = before, .texts = texts};
    *texts = (struct templates){.count = 0};
    follow_origin(&pointed, origin);
    *null = pointed.null;
}
