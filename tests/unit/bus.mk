check_PROGRAMS += tests/unit/test_bus
tests_unit_test_bus_SOURCES = tests/unit/bus/bench.c tests/unit/bus/bench.h tests/unit/bus/test_bus.c \
	tests/unit/bus/test_bus_faults.c
tests_unit_test_bus_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_bus_LDADD = $(UNIT_LIBS)

EXTRA_PROGRAMS += tests/bench/bench_bus
tests_bench_bench_bus_SOURCES = tests/bench/bench_bus.c
tests_bench_bench_bus_LDADD = libtailrace.a $(RUN_LIBS)
