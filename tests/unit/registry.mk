check_PROGRAMS += tests/unit/test_registry
tests_unit_test_registry_SOURCES = tests/unit/schemas/test_registry.c
tests_unit_test_registry_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_registry_LDADD = $(UNIT_LIBS)
EXTRA_DIST += tests/cases/evolve.tsv
check_PROGRAMS += tests/unit/test_registry_http
tests_unit_test_registry_http_SOURCES = tests/unit/schemas/test_registry_http.c \
	tests/unit/schemas/mock_registry.c tests/unit/schemas/mock_registry.h tests/unit/net/mock.c tests/unit/net/mock.h
tests_unit_test_registry_http_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_registry_http_LDADD = $(UNIT_LIBS)
