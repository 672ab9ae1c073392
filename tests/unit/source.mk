check_PROGRAMS += tests/unit/test_source
tests_unit_test_source_SOURCES = tests/unit/source/main.c tests/unit/source/suites.h \
	tests/unit/source/test_copytext.c tests/unit/source/test_sign.c \
	tests/unit/source/test_snapshot.c tests/unit/source/test_spill.c tests/unit/source/test_state.c tests/unit/source/test_timeline.c
tests_unit_test_source_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_source_LDADD = $(UNIT_LIBS)
EXTRA_DIST += tests/cases/source_state.tsv
check_PROGRAMS += tests/unit/test_preflight
tests_unit_test_preflight_SOURCES = tests/unit/source/test_preflight.c
tests_unit_test_preflight_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_preflight_LDADD = $(UNIT_LIBS)
