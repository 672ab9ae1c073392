check_PROGRAMS += tests/unit/test_cli
tests_unit_test_cli_SOURCES = tests/unit/cli/test_cli.c tests/unit/cli/test_cli.h \
	tests/unit/cli/test_config.c tests/unit/cli/test_secret.c \
	tests/unit/cli/test_docs.c tests/unit/cli/test_init.c tests/unit/cli/test_parse.c
tests_unit_test_cli_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_cli_LDADD = $(UNIT_LIBS)
EXTRA_DIST += tests/integration/init.sh examples/tailrace.yaml tests/cases/config_faults tests/cases/table_patterns.tsv tests/cases/column_patterns.tsv \
	tests/cases/masked_lines.tsv tests/cases/dsn_shown.tsv tests/cases/variables.tsv tests/cases/command_lines.tsv
check_PROGRAMS += tests/unit/test_status
tests_unit_test_status_SOURCES = tests/unit/cli/test_status.c
tests_unit_test_status_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_status_LDADD = $(UNIT_LIBS)
EXTRA_DIST += tests/cases/status
check_PROGRAMS += tests/unit/test_tail
tests_unit_test_tail_SOURCES = tests/unit/cli/test_tail.c
tests_unit_test_tail_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_tail_LDADD = $(UNIT_LIBS)
