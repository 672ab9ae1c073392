check_PROGRAMS += tests/unit/test_verify
tests_unit_test_verify_SOURCES = tests/unit/cli/test_verify.c
tests_unit_test_verify_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_verify_LDADD = $(UNIT_LIBS)
