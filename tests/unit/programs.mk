UNIT_SOURCES_test_symbols := tests/symbols/symbols.c
