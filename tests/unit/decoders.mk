# unit tests of decoders, and of the relation they make
check_PROGRAMS += tests/unit/test_decoders
tests_unit_test_decoders_SOURCES = tests/unit/decoders/main.c tests/unit/decoders/suites.h \
	tests/unit/decoders/dump.c tests/unit/decoders/dump.h \
	tests/unit/decoders/test_pgoutput.c tests/unit/decoders/test_relation.c \
	tests/unit/decoders/test_test_decoding.c \
	tests/unit/decoders/vectors.c tests/unit/decoders/vectors.h
tests_unit_test_decoders_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_decoders_LDADD = $(UNIT_LIBS)
EXTRA_DIST += tests/cases/pgoutput.tsv tests/cases/pgoutput_bad.tsv tests/cases/pgoutput_streamed.tsv tests/cases/test_decoding.tsv tests/cases/pgoutput-capture.py
EXTRA_DIST += tests/fuzz/pgoutput.c tests/fuzz/test_decoding.c tests/fuzz/lines.c tests/fuzz/lines.h tests/fuzz/avro.c \
	tests/fuzz/run.sh tests/fuzz/seeds.py tests/fuzz/corpus/avro.hex tests/fuzz/corpus/pgoutput.hex tests/fuzz/corpus/test_decoding.hex

# Fuzz for a while, all targets: make fuzz FUZZ_SECONDS=60
FUZZ_SECONDS = 60
fuzz:
	$(top_srcdir)/tests/fuzz/run.sh $(FUZZ_SECONDS)
.PHONY: fuzz
