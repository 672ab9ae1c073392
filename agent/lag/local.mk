libtailrace_a_SOURCES += agent/lag/lag.c agent/lag/lag.h
EXTRA_DIST += agent/lag/README.md
