libtailrace_a_SOURCES += \
	agent/cli/check.c \
	agent/cli/check_registry.c agent/cli/check_registry.h \
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
	agent/cli/ddl.c \
	agent/cli/dispatch.c \
	agent/cli/docs.c \
	agent/cli/docs.h \
	agent/cli/expand.c \
	agent/cli/expand.h \
	agent/cli/fault.c \
	agent/cli/fault.h \
	agent/cli/help.c \
	agent/cli/help.h \
	agent/cli/init.c \
	agent/cli/init.h \
	agent/cli/init_write.c \
	agent/cli/load.h \
	agent/cli/load_check.c \
	agent/cli/load_value.c \
	agent/cli/man.c \
	agent/cli/nearest.h \
	agent/cli/option.c \
	agent/cli/option.h \
	agent/cli/answer.c agent/cli/answer.h \
	agent/cli/parked.c \
	agent/cli/snapshot.c \
	agent/cli/remove.c \
	agent/cli/secret.c \
	agent/cli/secret.h \
	agent/cli/status.c \
	agent/cli/status.h \
	agent/cli/status_text.c \
	agent/cli/tail.c \
	agent/cli/tail.h \
	agent/cli/tail_event.c \
	agent/cli/tail_publish.c \
	agent/cli/tail_text.c \
	agent/cli/tail_watch.c \
	agent/cli/top.c \
	agent/cli/verify.c \
	agent/cli/verify.h \
	agent/cli/verify_table.c \
	agent/cli/version.c
EXTRA_DIST += agent/cli/README.md
