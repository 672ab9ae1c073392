libtailrace_a_SOURCES += agent/net/pg.h
