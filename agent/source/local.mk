libtailrace_a_SOURCES += agent/source/source.h agent/source/preflight.h agent/source/catalog.h
