check_PROGRAMS += tests/unit/test_store
tests_unit_test_store_SOURCES = tests/unit/base/test_store.c
tests_unit_test_store_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_store_LDADD = $(UNIT_LIBS)
