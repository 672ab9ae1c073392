libtailrace_a_SOURCES += agent/cli/config.h agent/cli/cli.h
