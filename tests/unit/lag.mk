check_PROGRAMS += tests/unit/test_lag
tests_unit_test_lag_SOURCES = tests/unit/lag/test_lag.c
tests_unit_test_lag_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_lag_LDADD = $(UNIT_LIBS)
EXTRA_DIST += tests/cases/lag.tsv
