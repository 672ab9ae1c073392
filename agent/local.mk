libtailrace_a_SOURCES += agent/run.h
EXTRA_DIST += agent/README.md agent/options.def agent/metrics.def agent/errors.def agent/commands.def
