libtailrace_a_SOURCES += sinks/sink.h
EXTRA_DIST += sinks/README.md
