/* An ELF file of any bytes: whatever `doctor`, `check` and `explain` ask of it is answered without harm. */
#include <dlfcn.h>
#include <sys/mman.h>

#include "runtime/util.h"
#include "tools/closure.h"
#include "tools/disassembly.h"
#include "tools/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_around(const struct object *object) {
    struct symbol symbol;
    uint64_t address = object->header.e_entry;
    uint64_t start;
    uint64_t end;
    object_interpreter(object);
    object_has_section(object, ".go.buildinfo");
    object_imports(object, "system");
    object_symbol(object, address, &symbol);
    object_function(object, address, &start, &end);
    object_import_of_slot(object, address);
    for (size_t i = 0; i < 4; i++)
        object_dynamic_text(object, DT_NEEDED, i);
    struct listing listing = disassemble_call(object, address, 4, 4);
    listing_free(&listing);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cleanup_fd int fd = memfd_create("object", MFD_CLOEXEC);
    char path[32];
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        die_with_error("cannot write an object");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct object object;
    if (object_open(&object, path)) {
        look_around(&object);
        object_close(&object);
    }
    return 0;
}
