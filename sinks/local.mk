libtailrace_a_SOURCES += \
	sinks/sink.h sinks/sinks.c \
	sinks/postgres/apply.c \
	sinks/postgres/careful.c \
	sinks/postgres/catalog.c \
	sinks/postgres/check.c \
	sinks/postgres/copy.c \
	sinks/postgres/create.c sinks/postgres/follow.c \
	sinks/postgres/pipe.c sinks/postgres/pipe.h \
	sinks/postgres/postgres.h \
	sinks/postgres/rows.c \
	sinks/postgres/session.c sinks/postgres/session.h \
	sinks/postgres/sql.c \
	sinks/postgres/table.h
EXTRA_DIST += sinks/README.md sinks/postgres/README.md
