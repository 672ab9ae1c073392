# unit tests of schemas
check_PROGRAMS += tests/unit/test_schemas
tests_unit_test_schemas_SOURCES = tests/unit/schemas/test_schemas.c tests/unit/schemas/support.c \
	tests/unit/schemas/support.h tests/unit/schemas/test_envelope.c tests/unit/schemas/test_types.c \
	tests/unit/schemas/test_forms.c tests/unit/schemas/test_extension.c tests/unit/schemas/test_property.c tests/unit/schemas/test_malformed.c \
	tests/unit/schemas/test_shape.c
tests_unit_test_schemas_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_schemas_LDADD = $(UNIT_LIBS)
EXTRA_DIST += tests/cases/debezium-customers.tsv tests/cases/debezium-extensions.tsv tests/cases/types.tsv
