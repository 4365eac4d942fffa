# target is the library that calls is linked with: found beside it, by that name.
BENCH_FLAGS_target := -fPIC -shared -Wl,-soname,target
BENCH_LIBS_calls := build/tests/bench/target -Wl,-rpath,'$$ORIGIN'
BENCH_LIBS_policies := build/libruntime.a -lconfig
BENCH_LIBS_filter := -lseccomp

build/tests/bench/calls: build/tests/bench/target
build/tests/bench/policies: build/libruntime.a

# Built as in the shim, without vector registers.
BENCH_LIBS_interval := $(patsubst %,build/shim/runtime/%.o,model counts api)
build/tests/bench/interval: $(BENCH_LIBS_interval)
