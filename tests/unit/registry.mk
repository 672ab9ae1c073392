check_PROGRAMS += tests/unit/test_registry
tests_unit_test_registry_SOURCES = tests/unit/schemas/test_registry.c
tests_unit_test_registry_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_registry_LDADD = $(UNIT_LIBS)
EXTRA_DIST += tests/cases/evolve.tsv
