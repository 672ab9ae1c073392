# The probe is built by `make bench` only.
EXTRA_PROGRAMS += tests/bench/probe
tests_bench_probe_SOURCES = tests/bench/probe.c
tests_bench_probe_CFLAGS = $(AM_CFLAGS) $(PQ_CFLAGS)
tests_bench_probe_LDADD = $(PQ_LIBS) -lpthread
CLEANFILES += tests/bench/probe$(EXEEXT)
EXTRA_DIST += tests/bench/README.md tests/bench/bench.sh tests/bench/idle.sh

.PHONY: bench bench-docs
# Figures as name=value lines; with bench-docs also the table in docs/performance.md.
bench: tailrace$(EXEEXT) tests/bench/probe$(EXEEXT)
	TAILRACE='$(abs_builddir)/tailrace' PROBE='$(abs_builddir)/tests/bench/probe' '$(abs_top_srcdir)/tests/bench/bench.sh'
bench-docs: tailrace$(EXEEXT) tests/bench/probe$(EXEEXT)
	TAILRACE='$(abs_builddir)/tailrace' PROBE='$(abs_builddir)/tests/bench/probe' '$(abs_top_srcdir)/tests/bench/bench.sh' --docs
