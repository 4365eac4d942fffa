# What single hazard programs need beyond the common flags; see the Makefile.

HAZARD_LIBS_edit_policy := build/libruntime.a -lconfig -lelf
build/tests/hazards/edit_policy: build/libruntime.a

HAZARD_LIBS_counts := -lelf
HAZARD_FLAGS_libcaller := -Wl,-rpath,'$$ORIGIN/private',--enable-new-dtags
HAZARD_LIBS_libneeds_own := -Wl,--no-as-needed -Lbuild/tests/hazards -lown -Wl,-rpath,'$$ORIGIN',--enable-new-dtags
build/tests/hazards/libneeds_own.so: build/tests/hazards/libown.so

# Without libc, and without what the compiler would put in front of it.
HAZARD_FLAGS_without_libc := -nostdlib -nostartfiles -fno-stack-protector -Wl,--dynamic-linker=/lib64/ld-linux-x86-64.so.2

HAZARD_PROGRAMS += plain_static plain_static_pie
HAZARD_SOURCE_plain_static := plain.c
HAZARD_FLAGS_plain_static := -static
HAZARD_SOURCE_plain_static_pie := plain.c
HAZARD_FLAGS_plain_static_pie := -static-pie -fPIE

# The same programs under the second libc.
MUSL_HAZARDS := plain vfork_exec variadics errno_kept signal_storm fork_storm small_stacks other_stacks bad_pointers \
	count_storm
HAZARD_PROGRAMS += $(addprefix musl_,$(MUSL_HAZARDS))
$(foreach name,$(MUSL_HAZARDS),$(eval HAZARD_SOURCE_musl_$(name) := $(name).c)$(eval HAZARD_CC_musl_$(name) := musl-gcc))

HAZARD_CC_sanitized := gcc
HAZARD_FLAGS_sanitized := -fsanitize=address
ifneq ($(wildcard /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan-x86_64.a),)
HAZARD_PROGRAMS += clang_sanitized
HAZARD_SOURCE_clang_sanitized := sanitized.c
HAZARD_CC_clang_sanitized := clang
HAZARD_FLAGS_clang_sanitized := -fsanitize=address
endif

$(addprefix build/tests/hazards/,$(HAZARD_PROGRAMS)): tests/hazards/programs.mk
