/* Reads .eh_frame through its header (.eh_frame_hdr) and the landing pads of C++ from the tables it points to.
 * Everything is read through a bounded cursor that turns bad once and stays bad.
 */
#include "policygen/functions.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"

#define MAX_FRAMES (4u << 20)
#define MAX_GAP_PADDING 64

/* Pointer encodings of exception tables (DWARF exception header). */
enum pointer_encoding {
    ENCODING_ABSOLUTE = 0x00,
    ENCODING_ULEB = 0x01,
    ENCODING_UDATA2 = 0x02,
    ENCODING_UDATA4 = 0x03,
    ENCODING_UDATA8 = 0x04,
    ENCODING_SLEB = 0x09,
    ENCODING_SDATA2 = 0x0a,
    ENCODING_SDATA4 = 0x0b,
    ENCODING_SDATA8 = 0x0c,
    ENCODING_RELATIVE_PC = 0x10,
    ENCODING_RELATIVE_DATA = 0x30,
    ENCODING_RELATION = 0x70,
    ENCODING_INDIRECT = 0x80,
    ENCODING_OMIT = 0xff,
};

/* Call-frame instructions (DWARF). */
enum frame_instruction {
    CFA_ADVANCE = 0x40,
    CFA_OFFSET = 0x80,
    CFA_RESTORE = 0xc0,
    CFA_NOP = 0x00,
    CFA_SET_LOCATION = 0x01,
    CFA_ADVANCE1 = 0x02,
    CFA_ADVANCE4 = 0x04,
    CFA_OFFSET_EXTENDED = 0x05,
    CFA_RESTORE_EXTENDED = 0x06,
    CFA_UNDEFINED = 0x07,
    CFA_SAME_VALUE = 0x08,
    CFA_REGISTER = 0x09,
    CFA_REMEMBER = 0x0a,
    CFA_RECALL = 0x0b,
    CFA_DEFINE = 0x0c,
    CFA_DEFINE_REGISTER = 0x0d,
    CFA_DEFINE_OFFSET = 0x0e,
    CFA_DEFINE_EXPRESSION = 0x0f,
    CFA_EXPRESSION = 0x10,
    CFA_VALUE_EXPRESSION = 0x16,
    CFA_ARGUMENTS_SIZE = 0x2e,
};

#define DWARF_RSP 7

struct cursor {
    const uint8_t *bytes;
    size_t rest;
    uint64_t address; /* of bytes[0] */
    bool bad;
};

static struct cursor cursor_at(const struct object *object, uint64_t address) {
    struct cursor cursor = {.address = address};
    cursor.bytes = object_rest(object, address, &cursor.rest);
    cursor.bad = cursor.bytes == NULL;
    return cursor;
}

static void cursor_skip(struct cursor *cursor, uint64_t count) {
    if (cursor->bad || count > cursor->rest) {
        cursor->bad = true;
        return;
    }
    cursor->bytes += count;
    cursor->address += count;
    cursor->rest -= (size_t)count;
}

static uint64_t cursor_fixed(struct cursor *cursor, unsigned size) {
    if (cursor->bad || size > cursor->rest) {
        cursor->bad = true;
        return 0;
    }
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)cursor->bytes[i] << (8 * i);
    cursor_skip(cursor, size);
    return value;
}

static uint64_t cursor_leb(struct cursor *cursor, bool is_signed) {
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;
    do {
        byte = (uint8_t)cursor_fixed(cursor, 1);
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while ((byte & 0x80) != 0 && !cursor->bad && shift < 140);
    if (is_signed && shift < 64 && (byte & 0x40) != 0)
        value |= ~(uint64_t)0 << shift;
    return value;
}

static uint64_t sign_extend(uint64_t value, unsigned bytes) {
    unsigned shift = 64 - 8 * bytes;
    return (uint64_t)((int64_t)(value << shift) >> shift);
}

/* Indirect pointers are not followed: only personality routines have them. */
static uint64_t cursor_pointer(struct cursor *cursor, uint8_t encoding, uint64_t data_base) {
    uint64_t origin = cursor->address, value;
    switch (encoding & 0x0f) {
    case ENCODING_ABSOLUTE:
    case ENCODING_UDATA8:
    case ENCODING_SDATA8: value = cursor_fixed(cursor, 8); break;
    case ENCODING_ULEB: value = cursor_leb(cursor, false); break;
    case ENCODING_SLEB: value = cursor_leb(cursor, true); break;
    case ENCODING_UDATA2: value = cursor_fixed(cursor, 2); break;
    case ENCODING_SDATA2: value = sign_extend(cursor_fixed(cursor, 2), 2); break;
    case ENCODING_UDATA4: value = cursor_fixed(cursor, 4); break;
    case ENCODING_SDATA4: value = sign_extend(cursor_fixed(cursor, 4), 4); break;
    default: cursor->bad = true; return 0;
    }
    if (value == 0)
        return 0;
    if ((encoding & ENCODING_RELATION) == ENCODING_RELATIVE_PC)
        value += origin;
    else if ((encoding & ENCODING_RELATION) == ENCODING_RELATIVE_DATA)
        value += data_base;
    return value;
}

/* ---- Frame description entries ---- */

struct common_entry {
    uint64_t address; /* 0: none read yet */
    uint8_t pointer_encoding, landing_encoding;
    bool has_augmentation;
    uint64_t cfa_register, cfa_offset; /* at the start */
};

/* Follows call-frame instructions up to the first that moves the location. */
static void first_frame(struct cursor cursor, uint64_t size, uint64_t *cfa_register, uint64_t *cfa_offset) {
    uint64_t end = cursor.address + size;
    while (!cursor.bad && cursor.address < end) {
        uint8_t instruction = (uint8_t)cursor_fixed(&cursor, 1);
        if ((instruction & 0xc0) == CFA_ADVANCE || (instruction >= CFA_SET_LOCATION && instruction <= CFA_ADVANCE4))
            return;
        if ((instruction & 0xc0) == CFA_OFFSET) {
            cursor_leb(&cursor, false);
            continue;
        }
        if ((instruction & 0xc0) == CFA_RESTORE)
            continue;
        switch (instruction) {
        case CFA_NOP:
        case CFA_REMEMBER:
        case CFA_RECALL: break;
        case CFA_DEFINE:
            *cfa_register = cursor_leb(&cursor, false);
            *cfa_offset = cursor_leb(&cursor, false);
            break;
        case CFA_DEFINE_REGISTER: *cfa_register = cursor_leb(&cursor, false); break;
        case CFA_DEFINE_OFFSET: *cfa_offset = cursor_leb(&cursor, false); break;
        case CFA_DEFINE_EXPRESSION:
            *cfa_register = UINT64_MAX;
            cursor_skip(&cursor, cursor_leb(&cursor, false));
            break;
        case CFA_OFFSET_EXTENDED:
        case CFA_REGISTER:
            cursor_leb(&cursor, false);
            cursor_leb(&cursor, false);
            break;
        case CFA_RESTORE_EXTENDED:
        case CFA_UNDEFINED:
        case CFA_SAME_VALUE:
        case CFA_ARGUMENTS_SIZE: cursor_leb(&cursor, false); break;
        case CFA_EXPRESSION:
        case CFA_VALUE_EXPRESSION:
            cursor_leb(&cursor, false);
            cursor_skip(&cursor, cursor_leb(&cursor, false));
            break;
        default: *cfa_register = UINT64_MAX; return;
        }
    }
}

static bool read_common_entry(const struct object *object, uint64_t address, struct common_entry *common) {
    *common = (struct common_entry){.address = address, .landing_encoding = ENCODING_OMIT};
    struct cursor cursor = cursor_at(object, address);
    uint64_t length = cursor_fixed(&cursor, 4);
    if (length == UINT32_MAX)
        return false;
    uint64_t end = cursor.address + length;
    if (cursor_fixed(&cursor, 4) != 0)
        return false;
    uint8_t version = (uint8_t)cursor_fixed(&cursor, 1);
    if (cursor.bad || (version != 1 && version != 3))
        return false;
    const uint8_t *zero = memchr(cursor.bytes, 0, cursor.rest);
    if (zero == NULL)
        return false;
    const char *augmentation = (const char *)cursor.bytes;
    cursor_skip(&cursor, (uint64_t)(zero - cursor.bytes) + 1);
    cursor_leb(&cursor, false);
    cursor_leb(&cursor, true);
    if (version == 1)
        cursor_fixed(&cursor, 1);
    else
        cursor_leb(&cursor, false);
    if (augmentation[0] != 0 && augmentation[0] != 'z')
        return false;
    common->has_augmentation = augmentation[0] == 'z';
    if (common->has_augmentation) {
        uint64_t size = cursor_leb(&cursor, false);
        struct cursor data = cursor;
        for (const char *letter = augmentation + 1; *letter != 0; letter++) {
            if (*letter == 'R')
                common->pointer_encoding = (uint8_t)cursor_fixed(&data, 1);
            else if (*letter == 'L')
                common->landing_encoding = (uint8_t)cursor_fixed(&data, 1);
            else if (*letter == 'P')
                cursor_pointer(&data, (uint8_t)cursor_fixed(&data, 1) & 0x7f, 0);
        }
        cursor_skip(&cursor, size);
    }
    if (!cursor.bad && cursor.address <= end)
        first_frame(cursor, end - cursor.address, &common->cfa_register, &common->cfa_offset);
    return !cursor.bad;
}

/* Reads the FDE at the address. `next` is where the entry behind it begins, or 0 at the end of the list. */
static bool read_frame(const struct object *object, uint64_t address, struct common_entry *common,
                       struct function *function, uint64_t *next) {
    struct cursor cursor = cursor_at(object, address);
    uint64_t length = cursor_fixed(&cursor, 4);
    *next = 0;
    if (cursor.bad || length == 0 || length == UINT32_MAX)
        return false;
    uint64_t end = cursor.address + length;
    *next = end;
    uint64_t here = cursor.address, distance = cursor_fixed(&cursor, 4);
    if (distance == 0 || distance > here)
        return false;
    if (common->address != here - distance && !read_common_entry(object, here - distance, common)) {
        common->address = 0;
        return false;
    }
    uint64_t start = cursor_pointer(&cursor, common->pointer_encoding, 0);
    uint64_t size = cursor_pointer(&cursor, common->pointer_encoding & 0x0f, 0);
    uint64_t landing = 0;
    if (common->has_augmentation) {
        uint64_t data_size = cursor_leb(&cursor, false);
        struct cursor data = cursor;
        if (common->landing_encoding != ENCODING_OMIT && data_size > 0)
            landing = cursor_pointer(&data, common->landing_encoding & 0x7f, 0);
        cursor_skip(&cursor, data_size);
    }
    if (cursor.bad || size == 0 || start > UINT32_MAX || size > UINT32_MAX - start)
        return false;
    uint64_t cfa_register = common->cfa_register, cfa_offset = common->cfa_offset;
    if (cursor.address <= end)
        first_frame(cursor, end - cursor.address, &cfa_register, &cfa_offset);
    *function = (struct function){.start = (uint32_t)start,
                                  .end = (uint32_t)(start + size),
                                  .landing_table = landing <= UINT32_MAX ? (uint32_t)landing : 0,
                                  .kind = FUNCTION_FRAME,
                                  .fragment = cfa_register != DWARF_RSP || cfa_offset != 8};
    return object_is_code(object, start);
}

static void add_frame(const struct object *object, uint64_t address, struct common_entry *common,
                      struct functions *functions, uint64_t *next) {
    struct function function;
    if (read_frame(object, address, common, &function, next) && functions->count < MAX_FRAMES)
        *array_append(functions->items, functions->count) = function;
}

static void read_frames(const struct object *object, struct functions *functions) {
    struct cursor header = cursor_at(object, object->frame_header);
    uint8_t version = (uint8_t)cursor_fixed(&header, 1);
    uint8_t frame_encoding = (uint8_t)cursor_fixed(&header, 1), count_encoding = (uint8_t)cursor_fixed(&header, 1);
    uint8_t table_encoding = (uint8_t)cursor_fixed(&header, 1);
    if (header.bad || version != 1)
        return;
    uint64_t frames = cursor_pointer(&header, frame_encoding, object->frame_header), next;
    struct common_entry common = {0};
    if (count_encoding == ENCODING_UDATA4 && table_encoding == (ENCODING_RELATIVE_DATA | ENCODING_SDATA4)) {
        uint64_t count = cursor_fixed(&header, 4);
        for (uint64_t i = 0; i < count && !header.bad; i++) {
            cursor_fixed(&header, 4);
            uint64_t entry = object->frame_header + sign_extend(cursor_fixed(&header, 4), 4);
            if (!header.bad)
                add_frame(object, entry, &common, functions, &next);
        }
        return;
    }
    for (uint64_t entry = frames; entry != 0; entry = next)
        add_frame(object, entry, &common, functions, &next);
}

/* ---- Order, gaps ---- */

static int compare_functions(const void *a, const void *b) {
    const struct function *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

/* Clips what overlaps, so that hostile tables cannot make one byte belong to two functions. */
static void clip(const struct object *object, struct functions *functions) {
    if (functions->count == 0)
        return;
    qsort(functions->items, functions->count, sizeof *functions->items, compare_functions);
    size_t kept = 0, range = 0;
    for (size_t i = 0; i < functions->count; i++) {
        struct function function = functions->items[i];
        if (i + 1 < functions->count && functions->items[i + 1].start < function.end)
            function.end = functions->items[i + 1].start;
        while (range < object->code_count && object->code[range].end <= function.start)
            range++;
        if (range == object->code_count)
            break;
        if (function.end > object->code[range].end)
            function.end = object->code[range].end;
        if (function.start < function.end)
            functions->items[kept++] = function;
    }
    functions->count = kept;
}

static void fill_gaps(const struct object *object, struct functions *functions) {
    struct functions full = {0};
    size_t next = 0;
    for (size_t i = 0; i < object->code_count; i++) {
        uint32_t address = object->code[i].start, end = object->code[i].end;
        while (address < end) {
            bool covered = next < functions->count && functions->items[next].start < end;
            uint32_t until = covered ? functions->items[next].start : end;
            if (until > address)
                *array_append(full.items, full.count) =
                    (struct function){.start = address, .end = until, .kind = FUNCTION_GAP};
            if (!covered)
                break;
            *array_append(full.items, full.count) = functions->items[next];
            address = functions->items[next++].end;
        }
    }
    free(functions->items);
    *functions = full;
}

void functions_find(const struct object *object, struct functions *functions) {
    *functions = (struct functions){0};
    if (object->frame_header != 0)
        read_frames(object, functions);
    clip(object, functions);
    fill_gaps(object, functions);
}

void functions_free(struct functions *functions) {
    free(functions->items);
    *functions = (struct functions){0};
}

uint32_t functions_at(const struct functions *functions, uint64_t address) {
    size_t low = 0, high = functions->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (address >= functions->items[middle].end)
            low = middle + 1;
        else if (address < functions->items[middle].start)
            high = middle;
        else
            return (uint32_t)middle;
    }
    return NO_FUNCTION;
}

void functions_split_gaps(struct functions *functions, const uint32_t *starts, size_t count) {
    struct functions split = {0};
    size_t next = 0;
    for (size_t i = 0; i < functions->count; i++) {
        struct function function = functions->items[i];
        while (next < count && starts[next] < function.start)
            next++;
        if (function.kind != FUNCTION_FRAME) {
            for (; next < count && starts[next] < function.end; next++) {
                if (starts[next] > function.start) {
                    struct function *head = array_append(split.items, split.count);
                    *head = function;
                    head->end = starts[next];
                }
                function.start = starts[next];
                function.kind = FUNCTION_FOUND;
            }
        }
        *array_append(split.items, split.count) = function;
    }
    free(functions->items);
    *functions = split;
}

/* ---- Landing pads ---- */

bool function_landing_pads(const struct object *object, const struct function *function, uint32_t **pads,
                           size_t *count) {
    if (function->landing_table == 0)
        return true;
    struct cursor cursor = cursor_at(object, function->landing_table);
    uint8_t base_encoding = (uint8_t)cursor_fixed(&cursor, 1);
    uint64_t base = function->start;
    if (base_encoding != ENCODING_OMIT)
        base = cursor_pointer(&cursor, base_encoding, 0);
    if ((uint8_t)cursor_fixed(&cursor, 1) != ENCODING_OMIT)
        cursor_leb(&cursor, false);
    uint8_t encoding = (uint8_t)cursor_fixed(&cursor, 1) & 0x0f;
    uint64_t size = cursor_leb(&cursor, false), end = cursor.address + size;
    while (!cursor.bad && cursor.address < end) {
        cursor_pointer(&cursor, encoding, 0);
        cursor_pointer(&cursor, encoding, 0);
        uint64_t pad = cursor_pointer(&cursor, encoding, 0);
        cursor_leb(&cursor, false);
        if (pad != 0 && !cursor.bad && base + pad <= UINT32_MAX)
            *array_append(*pads, *count) = (uint32_t)(base + pad);
    }
    return !cursor.bad;
}
