libtailrace_a_SOURCES += \
	agent/run.c agent/run.h \
	agent/run_answers.c \
	agent/run_command.c \
	agent/run_parts.h \
	agent/run_registry.c \
	agent/run_reload.c
EXTRA_DIST += agent/README.md agent/options.def agent/metrics.def agent/errors.def agent/commands.def
