libtailrace_a_SOURCES += agent/lag/lag.h
