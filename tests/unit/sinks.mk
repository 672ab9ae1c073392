# unit tests of sinks
check_PROGRAMS += tests/unit/test_sinks
tests_unit_test_sinks_SOURCES = tests/unit/sinks/test_sinks.c
tests_unit_test_sinks_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_sinks_LDADD = $(UNIT_LIBS)
EXTRA_DIST += tests/cases/sink_sql.tsv tests/cases/sink_sqlstate.tsv tests/cases/sink_runs.tsv
