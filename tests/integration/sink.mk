# Drives the PostgreSQL sink against a real server; run by tests/integration/sink.sh
EXTRA_PROGRAMS += tests/integration/sink_test
tests_integration_sink_test_SOURCES = tests/integration/sink_test.c
tests_integration_sink_test_CFLAGS = $(UNIT_CFLAGS)
tests_integration_sink_test_LDADD = $(UNIT_LIBS)
EXTRA_DIST += tests/integration/sink.sh
