libtailrace_a_SOURCES += agent/bus/bus.h
