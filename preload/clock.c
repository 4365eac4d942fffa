/* See clock.h. */
#include "preload/clock.h"

#include <elf.h>
#include <linux/time.h>
#include <sys/auxv.h>

#include "preload/imports.h"
#include "preload/resolve.h"
#include "preload/state.h"

void clock_start(struct state *state) {
    uint64_t base = getauxval != NULL ? getauxval(AT_SYSINFO_EHDR) : 0;
    if (base == 0)
        return;
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)base;
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(base + header->e_phoff);
    struct link_map vdso = {.l_addr = base};
    for (unsigned i = 0; i < header->e_phnum; i++)
        if (segments[i].p_type == PT_LOAD && segments[i].p_offset == 0)
            vdso.l_addr = base - segments[i].p_vaddr;
        else if (segments[i].p_type == PT_DYNAMIC)
            vdso.l_ld = (Elf64_Dyn *)(base + segments[i].p_offset);
    state->clock = (clock_function *)resolve_in(&vdso, "__vdso_clock_gettime");
}

uint64_t clock_now(void) {
    struct timespec now = {0, 0};
    if (STATE->clock == NULL || STATE->clock(CLOCK_MONOTONIC_COARSE, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
