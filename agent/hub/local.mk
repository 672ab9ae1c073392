libtailrace_a_SOURCES += agent/hub/pump.h agent/hub/park.h
