UNIT_SOURCES_test_symbols := tests/symbols/symbols.c

UNIT_SOURCES_test_preload_stack := $(addprefix preload/,stack_known.c calls.c mappings.c unwind.c unwind_support.c copy.c)
UNIT_LIBS_test_preload_stack := $(LIBUNWIND)
UNIT_SOURCES_test_precision := tests/precision/classify.c tests/precision/tally.c
