libtailrace_a_SOURCES += \
	agent/base/arena.c agent/base/arena.h \
	agent/base/buf.c \
	agent/base/clock.h \
	agent/base/config.c agent/base/config.h \
	agent/base/crc32c.c \
	agent/base/cursor.h \
	agent/base/env.c agent/base/env.h \
	agent/base/err.c agent/base/err.h \
	agent/base/log.c agent/base/log.h \
	agent/base/metric.c agent/base/metric.h \
	agent/base/store.c agent/base/store.h \
	agent/base/store_check.c agent/base/store_local.h \
	agent/base/str.c agent/base/str.h
