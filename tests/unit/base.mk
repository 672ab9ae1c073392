check_PROGRAMS += tests/unit/test_base
tests_unit_test_base_SOURCES = tests/unit/base/test_base.c
tests_unit_test_base_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_base_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/test_metric
tests_unit_test_metric_SOURCES = tests/unit/base/test_metric.c
tests_unit_test_metric_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_metric_LDADD = $(UNIT_LIBS)
