# Builds the shim, policygen, the pinion command and the tests; everything it writes is under build/.
#
#   make [all]      the product                     make test    install what is missing, build, run every test
#   make demo       the demonstration               make lint    clang-format, clang-tidy, cppcheck, shellcheck
#   make bench      measure                         make fuzz    each fuzzer for FUZZ_SECONDS
#   make speed      how fast policygen is
#   make patch-bench  patch real packages under load, beside the upgrade of the whole root (ROWS="nginx jq" for those alone,
#                     ROWS=--shared where the helper cannot give memory back)
#   make precision  how much policygen pins down of Debian's programs; RECORD=1 makes that the new standard
#   make oracle     SEEDS generated programs, compared with their policies
#   make soundness  run real programs and hold what they do against their policies (WORKLOADS="git nginx" for those alone)
#   make evaluate   detection on the recorded attacks in the folder ATTACKS; RECORD=1 makes that the new standard
#   make install    DESTDIR and PREFIX as usual     make uninstall, make clean
#
# make test TESTS="policy shim_file" runs those alone. CC may be gcc or clang. V=1 shows the commands, JOBS=1 runs
# one at a time. LIBUNWIND_SRC=DIR takes libunwind from there in place of Debian's source package.

ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
TESTS ?=
JOBS ?= $(shell nproc)
ifeq ($(V),)
say = @printf '  %-8s %s\n' '$1' '$2';
endif

.SUFFIXES:
.SECONDEXPANSION:
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all
.PHONY: all demo test bench patch-bench speed precision evaluate soundness oracle lint fuzz install uninstall clean test-programs bench-programs fuzz-programs FORCE
FORCE:

ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(JOBS)
endif

# ---- Debian packages, before anything is looked at ----

PACKAGES_all := build
PACKAGES_install := build
PACKAGES_test := build test oracle
PACKAGES_demo := build demo
PACKAGES_oracle := build oracle
PACKAGES_bench := build bench
PACKAGES_patch-bench := build patch-bench
PACKAGES_precision := build precision
PACKAGES_soundness := build soundness
PACKAGES_speed := build precision
PACKAGES_evaluate := build evaluate
PACKAGES_lint := build lint
PACKAGES_fuzz := build fuzz
package_groups := $(sort $(foreach goal,$(or $(MAKECMDGOALS),all),$(PACKAGES_$(goal))))
ifneq ($(package_groups),)
ifeq ($(findstring n,$(firstword -$(MAKEFLAGS))),)
$(shell .ci/packages $(package_groups) >&2 </dev/null)
ifneq ($(.SHELLSTATUS),0)
$(error cannot go on without these packages)
endif
endif
endif

# ---- Flags ----

WARNINGS := -std=gnu17 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla
DEPENDENCIES = -MMD -MP -MF $(@:.o=.d) -MT $@
INCLUDES := -I.

TOOL_CFLAGS := -O2 -g -D_GNU_SOURCE -D_FORTIFY_SOURCE=2 -fPIE -fstack-protector-strong -fstack-clash-protection \
	-fcf-protection -fno-strict-aliasing $(WARNINGS) $(INCLUDES) $(CFLAGS)
TOOL_LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code -Wl,--as-needed $(LDFLAGS)
POLICYGEN_LIBS := -lconfig -ljansson -ldw -lelf -lZydis -lcrypto
PINION_LIBS := -lconfig -ljansson -ldw -lelf -lZydis -lcrypto -lsqlite3 -lcurl -lz -lm -pthread

# The shim runs under any libc and so sees none: musl's headers for the shapes of ELF, the kernel's, the
# compiler's, and libunwind's. Not with _GNU_SOURCE, under which musl's define open64 and its kin as macros. The
# shim may use no vector register (its callers' arguments live there), no stack protector and no thread-local
# model that calls __tls_get_addr.
KERNEL_HEADERS := build/kernel-headers
LIBUNWIND_CFLAGS := -DHAVE_CONFIG_H $(addprefix -isystem build/libunwind/src/,include include/tdep-x86_64 src)
SHIM_CODE := -O2 -g -ffreestanding -fno-builtin -fPIC -fvisibility=hidden -fno-stack-protector \
	-ftls-model=initial-exec -fcf-protection=branch -fasynchronous-unwind-tables -fno-strict-aliasing \
	-ffunction-sections -fdata-sections
# gcc makes the loop of memcpy itself a call of memcpy unless told otherwise; clang refuses long double, which
# libunwind's internal headers mention, under -mgeneral-regs-only.
SHIM_CODE_gcc := $(SHIM_CODE) -mgeneral-regs-only -fno-tree-loop-distribute-patterns
SHIM_CODE_clang := $(SHIM_CODE) -mno-sse -mno-mmx
shim_cflags = $(SHIM_CODE_$(if $(findstring clang,$1),clang,gcc)) -DPINION_SHIM $(WARNINGS) $(INCLUDES) -nostdinc \
	-isystem /usr/include/x86_64-linux-musl -isystem $(KERNEL_HEADERS) -isystem $(shell $1 -print-file-name=include) \
	$(LIBUNWIND_CFLAGS)
SHIM_LDFLAGS := -shared -nostdlib -nostartfiles -Wl,-z,relro,-z,now,-z,initfirst,-z,noexecstack,-z,separate-code,-z,defs \
	-Wl,--gc-sections,--build-id=sha1,--hash-style=gnu,--no-undefined-version

# ---- Sources ----

# The files of runtime/ that are free of libc: the shim has them too, compiled its own way.
SHIM_RUNTIME := $(filter $(addprefix runtime/,api.c counts.c policy.c rule.c match.c identity.c model.c sha256.c signature.c),$(wildcard runtime/*.c))
SHIM_OBJECTS := $(patsubst %,build/shim/%.o,$(basename $(wildcard preload/*.c preload/*.S) $(SHIM_RUNTIME)))
RUNTIME_OBJECTS := $(patsubst %.c,build/object/%.o,$(wildcard runtime/*.c))
POLICYGEN_OBJECTS := $(patsubst %.c,build/object/%.o,$(wildcard policygen/*.c))
TOOLS_SOURCES := $(wildcard tools/*.c tools/patch/*.c)
TOOLS_OBJECTS := $(patsubst %.c,build/object/%.o,$(TOOLS_SOURCES))

# One part is left out while it has no sources.
PRODUCT := $(if $(wildcard preload/*.c preload/*.S),build/libpinion.so) \
	$(if $(wildcard policygen/main.c),build/policygen) \
	$(if $(wildcard tools/pinion.c),build/pinion)

all: $(PRODUCT)

# ---- Another compiler or other flags: everything is built anew ----

build/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(CC)' '$(TOOL_CFLAGS)' '$(SHIM_CODE_gcc) $(SHIM_CODE_clang) $(LIBUNWIND_CFLAGS)' '$(TOOL_LDFLAGS)' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# ---- libunwind ----

LIBUNWIND := build/libunwind/libunwind.a

build/libunwind/origin: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(LIBUNWIND_SRC)' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(LIBUNWIND): .ci/libunwind build/libunwind/origin
	$(call say,BUILD,libunwind).ci/libunwind build/libunwind $(LIBUNWIND_SRC)

$(KERNEL_HEADERS)/stamp: Makefile
	@mkdir -p $(@D)
	@ln -sfn /usr/include/linux $(@D)/linux
	@ln -sfn /usr/include/asm-generic $(@D)/asm-generic
	@ln -sfn /usr/include/x86_64-linux-gnu/asm $(@D)/asm
	@touch $@

# ---- The shim ----

build/shim/%.o: %.c build/flags $(LIBUNWIND) $(KERNEL_HEADERS)/stamp
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(call shim_cflags,$(CC)) $(DEPENDENCIES) -c $< -o $@

build/shim/%.o: %.S build/flags $(KERNEL_HEADERS)/stamp
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(call shim_cflags,$(CC)) $(DEPENDENCIES) -c $< -o $@

build/exports.map: preload/exports.map.in $(wildcard runtime/*.def) build/flags
	$(call say,GEN,$@)$(CC) -E -P -undef $(INCLUDES) -x c $< -o $@

# The shim has the fingerprint of the API table as a constant.
build/fingerprint.h: runtime/api.c runtime/api.h $(wildcard runtime/*.def) build/flags
	$(call say,GEN,$@)printf '#include <stdio.h>\n#include "runtime/api.h"\nint main(void) {\n\
	printf("#define API_TABLE_FINGERPRINT 0x%%lxu\\n", (unsigned long)api_table_fingerprint());\n}\n' | \
		$(CC) $(TOOL_CFLAGS) -x c - -x c runtime/api.c -o build/fingerprint && build/fingerprint >$@

build/shim/runtime/api.o: build/fingerprint.h

build/libpinion.so: $(SHIM_OBJECTS) $(LIBUNWIND) build/exports.map
	$(call say,LINK,$@)$(CC) $(SHIM_LDFLAGS) -Wl,--version-script=build/exports.map $(SHIM_OBJECTS) $(LIBUNWIND) \
		$(shell $(CC) -print-libgcc-file-name) -o $@

# ---- The tools ----

build/object/%.o: %.c build/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(TOOL_CFLAGS) $(DEPENDENCIES) -c $< -o $@

build/libruntime.a: $(RUNTIME_OBJECTS)
	@rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $^

build/policygen: $(POLICYGEN_OBJECTS) build/libruntime.a
	$(call say,LINK,$@)$(CC) $(TOOL_LDFLAGS) $^ $(POLICYGEN_LIBS) -o $@

build/pinion: $(TOOLS_OBJECTS) build/libruntime.a
	$(call say,LINK,$@)$(CC) $(TOOL_LDFLAGS) $^ $(PINION_LIBS) -o $@

# ---- Unit tests: one cmocka program per tests/unit/test_*.c ----
#
# test_policygen_x and test_tools_x are linked with their folder (without its main), test_preload_x with the
# shim's own object of preload/x. tests/unit/programs.mk may name more sources for a test, as
# UNIT_SOURCES_test_preload_x := preload/y.c.

-include tests/unit/programs.mk

UNIT_TESTS := $(patsubst %.c,build/%,$(wildcard tests/unit/test_*.c))

unit_folder = $(word 2,$(subst _, ,$1))
unit_preload = $(patsubst test_preload_%,preload/%.c,$(filter test_preload_%,$1))
unit_objects = $(if $(filter policygen,$(call unit_folder,$1)),$(filter-out build/object/policygen/main.o,$(POLICYGEN_OBJECTS))) \
	$(if $(filter tools,$(call unit_folder,$1)),$(filter-out build/object/tools/pinion.o,$(TOOLS_OBJECTS))) \
	$(patsubst %,build/shim/%.o,$(basename $(filter preload/%,$(sort $(wildcard $(call unit_preload,$1)) $(UNIT_SOURCES_$1))))) \
	$(patsubst %.c,build/object/%.o,$(filter-out preload/%,$(UNIT_SOURCES_$1)))

build/tests/unit/%: build/object/tests/unit/%.o $$(call unit_objects,$$*) build/libruntime.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(TOOL_LDFLAGS) -Wl,--gc-sections $^ -lcmocka $(PINION_LIBS) $(UNIT_LIBS_$*) -o $@

# ---- Hazard programs: tests/hazards/*.c, each one small program; lib*.c are modules that they load ----
#
# tests/hazards/programs.mk may set for program x: HAZARD_CC_x, HAZARD_FLAGS_x, HAZARD_LIBS_x, and add a program
# made from another's source: HAZARD_PROGRAMS += x and HAZARD_SOURCE_x := y.c.

HAZARD_PROGRAMS := $(filter-out lib%,$(patsubst tests/hazards/%,%,$(basename $(wildcard tests/hazards/*.c tests/hazards/*.S))))
-include tests/hazards/programs.mk
HAZARD_MODULES := $(patsubst tests/hazards/%.c,build/tests/hazards/%.so,$(wildcard tests/hazards/lib*.c))

hazard_source = $(firstword $(wildcard $(if $(HAZARD_SOURCE_$1),tests/hazards/$(HAZARD_SOURCE_$1),tests/hazards/$1.c tests/hazards/$1.S)))
HAZARD_CFLAGS := -std=gnu17 -Wall -Wextra -Werror -D_GNU_SOURCE -O1 -g $(INCLUDES)

build/tests/hazards/%.so: tests/hazards/%.c build/flags
	@mkdir -p $(@D)
	$(call say,CC,$@)$(or $(HAZARD_CC_$*),$(CC)) $(HAZARD_CFLAGS) -fPIC -shared -MMD -MP -MF $@.d -MT $@ $(HAZARD_FLAGS_$*) $< $(HAZARD_LIBS_$*) -o $@

build/tests/hazards/%: $$(call hazard_source,$$*) build/flags 
	@mkdir -p $(@D)
	$(call say,CC,$@)$(or $(HAZARD_CC_$*),$(CC)) $(HAZARD_CFLAGS) -MMD -MP -MF $@.d -MT $@ $(HAZARD_FLAGS_$*) $< $(HAZARD_LIBS_$*) -ldl -pthread -o $@

# ---- The oracle: generated programs, see tests/oracle/run ----

ORACLE := build/tests/oracle/generate build/tests/oracle/compare build/tests/oracle/recorder.so
ORACLE_PARTS := $(patsubst %,build/object/tests/oracle/%.o,program sources steps buffers)

build/tests/oracle/generate: build/object/tests/oracle/generate.o $(ORACLE_PARTS) build/libruntime.a
build/tests/oracle/compare: build/object/tests/oracle/compare.o build/libruntime.a
build/tests/oracle/generate build/tests/oracle/compare:
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(TOOL_LDFLAGS) $^ -lconfig -o $@

build/tests/oracle/recorder.so: build/shim/tests/oracle/recorder.o build/shim/runtime/api.o
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) -shared -nostdlib -nostartfiles $^ -o $@

oracle: all $(ORACLE)
	@tests/oracle/run $(SEEDS)

# ---- Samples: each builds itself, as on a machine that only has the installed product ----

SAMPLES := $(patsubst samples/%/build.sh,build/samples/%/built,$(wildcard samples/*/build.sh))

build/samples/%/built: samples/%/build.sh $$(wildcard samples/$$*/*) build/flags
	$(call say,SAMPLE,samples/$*)CC='$(CC)' $< $(@D)
	@touch $@

# ---- Programs of the patch helper's tests: tests/patch/*.c ----
#
# Linked statically but for those that download: change_tree runs alone in a root directory, and the system calls of
# stage_trial are counted.

PATCH_PROGRAMS := $(patsubst %.c,build/%,$(wildcard tests/patch/*.c))

build/libtools.a: $(filter-out build/object/tools/pinion.o,$(TOOLS_OBJECTS))
	@rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $^

build/tests/patch/%: build/object/tests/patch/%.o build/libtools.a build/libruntime.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(if $(filter methods,$*),$(TOOL_LDFLAGS) $^ $(PINION_LIBS),-static $^ -lconfig) -o $@

# ---- Running ----

test-programs: $(UNIT_TESTS) $(PATCH_PROGRAMS) $(HAZARD_MODULES) $(addprefix build/tests/hazards/,$(HAZARD_PROGRAMS)) $(ORACLE) $(SAMPLES)

test: all test-programs
	@CC='$(CC)' tests/run $(TESTS)

demo: all $(SAMPLES)
	@samples/demo.sh

-include tests/bench/programs.mk
BENCH_PROGRAMS := $(patsubst %.c,build/%,$(wildcard tests/bench/*.c))

build/tests/bench/%: tests/bench/%.c build/flags
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) -O2 -g -D_GNU_SOURCE $(WARNINGS) $(INCLUDES) -MMD -MP -MF $@.d -MT $@ $(BENCH_FLAGS_$*) $< $(BENCH_LIBS_$*) -ldl -pthread -o $@

bench-programs: $(BENCH_PROGRAMS)

bench: all bench-programs
	@tests/bench/run

patch-bench: all
	@tests/patch/bench $(ROWS)

# ---- Precision: what policygen pins down, measured on its policies ----

PRECISION_OBJECTS := $(patsubst %.c,build/object/%.o,$(wildcard tests/precision/*.c))

build/tests/precision/precision: $(PRECISION_OBJECTS) build/libruntime.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(TOOL_LDFLAGS) $^ -lconfig -ljansson -o $@

precision: build/policygen build/tests/precision/precision
	@build/tests/precision/precision build/policygen tests/precision/programs tests/precision/gates build $(if $(RECORD),record)

# ---- Evaluation: attacks detected on recordings, and false alarms ----

evaluate: build/pinion
	@tests/evaluation/run $(if $(RECORD),record)

# ---- Soundness: real programs' work against their policies ----

WORKLOADS ?=
SOUNDNESS_OBJECTS := $(patsubst %.c,build/object/%.o,$(wildcard tests/soundness/*.c)) \
	$(filter-out build/object/tools/pinion.o,$(TOOLS_OBJECTS)) build/shim/preload/calls.o

build/tests/soundness/check: $(SOUNDNESS_OBJECTS) build/libruntime.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(TOOL_LDFLAGS) -Wl,--gc-sections $^ $(PINION_LIBS) -o $@

soundness: all build/tests/soundness/check
	@tests/soundness/run $(WORKLOADS)

build/tests/speed/speed: build/object/tests/speed/speed.o build/object/tests/precision/analyse.o build/libruntime.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(TOOL_LDFLAGS) $^ -ljansson -o $@

speed: build/policygen build/tests/speed/speed
	@build/tests/speed/speed build/policygen build

# ---- Fuzzing: one program per tests/fuzz/fuzz_*.c; fuzz_tools_x and fuzz_policygen_x see their folder ----

FUZZ_CFLAGS := -O1 -g -D_GNU_SOURCE -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	$(WARNINGS) $(INCLUDES)
FUZZERS := $(patsubst %.c,build/%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz_objects = $(patsubst %.c,build/fuzz/%.o,$(wildcard runtime/*.c) \
	$(if $(filter policygen,$(call unit_folder,$1)),$(filter-out policygen/main.c,$(wildcard policygen/*.c))) \
	$(if $(filter tools,$(call unit_folder,$1)),$(filter-out tools/pinion.c,$(TOOLS_SOURCES))))

build/fuzz/%.o: %.c build/flags
	@mkdir -p $(@D)
	$(call say,CC,$@)clang $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link $(DEPENDENCIES) -c $< -o $@

build/tests/fuzz/%: build/fuzz/tests/fuzz/%.o $$(call fuzz_objects,$$*)
	@mkdir -p $(@D)
	$(call say,LINK,$@)clang $(FUZZ_CFLAGS) -fsanitize=fuzzer $^ $(PINION_LIBS) -o $@

fuzz-programs: $(FUZZERS)

fuzz: fuzz-programs
	@tests/fuzz/run $(FUZZ_SECONDS) $(FUZZERS)

# ---- Lint ----

C_FILES := $(wildcard $(foreach folder,runtime preload policygen tools tools/patch samples/* tests/*,$(folder)/*.c $(folder)/*.h))
# Samples, hazards and golden programs do on purpose what linters warn of.
LINTED := $(filter %.c,$(filter-out samples/% tests/hazards/% tests/golden/%,$(C_FILES)))
TIDY_FILES := $(LINTED)
TIDY_STAMPS := $(patsubst %,build/lint/%.tidy,$(TIDY_FILES))
SCRIPTS = $(shell grep -rlE --exclude='*.[ch]' '^\#! ?/(usr/)?bin/(env )?(ba)?sh' .ci preload policygen tools samples tests runtime 2>/dev/null)
.PHONY: lint-format lint-tidy lint-cppcheck lint-shell

lint-format:
	$(call say,FORMAT,$(words $(C_FILES)) files)$(if $(C_FILES),clang-format --dry-run -Werror $(C_FILES))

tidy_flags = $(if $(filter preload/%,$1),$(call shim_cflags,clang),$(TOOL_CFLAGS))

build/lint/%.tidy: % .clang-tidy build/flags $(filter %.h,$(C_FILES)) $(wildcard runtime/*.def) | $(LIBUNWIND) $(KERNEL_HEADERS)/stamp
	@mkdir -p $(@D)
	$(call say,TIDY,$<)clang-tidy --quiet $< -- $(call tidy_flags,$<)
	@touch $@

lint-tidy: $(TIDY_STAMPS)

# cppcheck knows nothing of variables that clean up after themselves, nor that die() does not return; clang-tidy
# watches over leaks and null pointers.
lint-cppcheck:
	@mkdir -p build/lint/cppcheck
	$(call say,CPPCHECK,)cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --inline-suppr --std=c11 \
		--suppress=resourceLeak --suppress=memleak --suppress=nullPointerRedundantCheck --suppress=strtokCalled --suppress=readdirCalled --suppress=ctunullpointer \
		--library=posix,gnu --cppcheck-build-dir=build/lint/cppcheck -j$(shell nproc) $(INCLUDES) -D_GNU_SOURCE -D__x86_64__ \
		$(filter-out tests/bench/%,$(LINTED))

lint-shell:
	$(call say,SHELL,$(words $(SCRIPTS)) scripts)$(if $(SCRIPTS),shellcheck $(SCRIPTS))

lint: lint-format lint-tidy lint-cppcheck lint-shell

# ---- Installing ----

install: all
	install -d $(DESTDIR)$(PREFIX)/lib $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc/pinion
	install -m 0755 build/libpinion.so $(DESTDIR)$(PREFIX)/lib/libpinion.so
	install -m 0755 build/policygen build/pinion $(DESTDIR)$(PREFIX)/bin
	install -m 0644 README.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/pinion

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/lib/libpinion.so $(addprefix $(DESTDIR)$(PREFIX)/bin/,policygen pinion)
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/pinion

clean:
	rm -rf build

# ---- Dependencies found by the compiler ----

dependency_files := $(wildcard build/shim/*/*.d build/shim/tests/*/*.d build/object/*/*.d build/object/tools/*/*.d build/object/tests/*/*.d build/tests/*/*.d \
	build/fuzz/*/*.d build/fuzz/tools/*/*.d build/fuzz/tests/*/*.d)
$(dependency_files): ;
-include $(dependency_files)
