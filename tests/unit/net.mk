check_PROGRAMS += tests/unit/test_net
tests_unit_test_net_SOURCES = tests/unit/net/test_pg.c
tests_unit_test_net_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_net_LDADD = $(UNIT_LIBS)
EXTRA_DIST += tests/cases/pg_err_code.tsv
