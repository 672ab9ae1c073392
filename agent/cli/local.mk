libtailrace_a_SOURCES += \
	agent/cli/cli.c \
	agent/cli/cli.h \
	agent/cli/command.c \
	agent/cli/command.h \
	agent/cli/completion.c \
	agent/cli/config.c \
	agent/cli/config.h \
	agent/cli/config_cmd.c \
	agent/cli/config_print.c \
	agent/cli/config_schema.c \
	agent/cli/dispatch.c \
	agent/cli/docs.c \
	agent/cli/docs.h \
	agent/cli/expand.c \
	agent/cli/expand.h \
	agent/cli/fault.c \
	agent/cli/fault.h \
	agent/cli/help.c \
	agent/cli/help.h \
	agent/cli/load.h \
	agent/cli/load_check.c \
	agent/cli/load_value.c \
	agent/cli/man.c \
	agent/cli/nearest.h \
	agent/cli/option.c \
	agent/cli/option.h \
	agent/cli/secret.c \
	agent/cli/secret.h \
	agent/cli/status.c \
	agent/cli/status.h \
	agent/cli/status_text.c \
	agent/cli/top.c \
	agent/cli/version.c
EXTRA_DIST += agent/cli/README.md
