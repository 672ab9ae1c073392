# Drives the source against real servers, with a bus and no target; run by tests/integration/source.sh
EXTRA_PROGRAMS += tests/integration/source_test
tests_integration_source_test_SOURCES = tests/integration/source_test.c
tests_integration_source_test_CFLAGS = $(UNIT_CFLAGS)
tests_integration_source_test_LDADD = $(UNIT_LIBS)
EXTRA_DIST += tests/integration/source.sh
