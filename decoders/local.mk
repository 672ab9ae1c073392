libtailrace_a_SOURCES += decoders/decoder.h
EXTRA_DIST += decoders/README.md
