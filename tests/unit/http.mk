check_PROGRAMS += tests/unit/test_http tests/unit/test_notify
tests_unit_test_http_SOURCES = tests/unit/http/test_http.c
tests_unit_test_http_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_http_LDADD = $(UNIT_LIBS)
tests_unit_test_notify_SOURCES = tests/unit/http/test_notify.c
tests_unit_test_notify_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_notify_LDADD = $(UNIT_LIBS)
