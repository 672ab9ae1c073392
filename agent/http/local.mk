libtailrace_a_SOURCES += agent/http/http.h
