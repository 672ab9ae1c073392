libtailrace_a_SOURCES += \
	agent/bus/bus.h \
	agent/bus/coding.c agent/bus/coding.h \
	agent/bus/local.c agent/bus/local.h \
	agent/bus/local_block.c \
	agent/bus/local_put.c \
	agent/bus/local_read.c \
	agent/bus/local_write.c
EXTRA_DIST += agent/bus/README.md
