libtailrace_a_SOURCES += agent/net/pg.c agent/net/pg.h
EXTRA_DIST += agent/net/README.md
