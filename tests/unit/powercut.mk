# A power cut: a library to preload and a program that takes back, for tests only, never installed.
check_PROGRAMS += tests/unit/test_powercut
tests_unit_test_powercut_SOURCES = tests/unit/harness/test_powercut.c \
	tests/unit/bus/bench.c tests/unit/bus/bench.h
tests_unit_test_powercut_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_powercut_LDADD = $(UNIT_LIBS)
EXTRA_PROGRAMS += tests/harness/powercut_undo
tests_harness_powercut_undo_SOURCES = tests/harness/powercut_undo.c tests/harness/powercut.h
check_DATA = tests/harness/powercut.so tests/harness/powercut_undo$(EXEEXT)
CLEANFILES += tests/harness/powercut.so tests/harness/powercut_undo$(EXEEXT)
EXTRA_DIST += tests/harness/powercut.c tests/harness/power.sh
tests/harness/powercut.so: $(srcdir)/tests/harness/powercut.c $(srcdir)/tests/harness/powercut.h
	@$(MKDIR_P) tests/harness
	$(AM_V_GEN)$(CC) -std=gnu11 $(WARN_CFLAGS) -O2 -fPIC -shared -I$(top_srcdir) -o $@ \
		$(srcdir)/tests/harness/powercut.c -ldl -lpthread
