# unit tests of hub
check_PROGRAMS += tests/unit/test_hub
tests_unit_test_hub_SOURCES = tests/unit/hub/fake.c tests/unit/hub/fake.h tests/unit/hub/test_hub.c
tests_unit_test_hub_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_hub_LDADD = $(UNIT_LIBS)
