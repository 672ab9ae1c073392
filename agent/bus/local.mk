libtailrace_a_SOURCES += \
	agent/bus/bus.h \
	agent/bus/coding.c agent/bus/coding.h agent/bus/little.h \
	agent/bus/kafka.c agent/bus/kafka.h agent/bus/kafka_reader.h \
	agent/bus/kafka_conf.c \
	agent/bus/kafka_group.c \
	agent/bus/kafka_put.c \
	agent/bus/kafka_read.c \
	agent/bus/kafka_send.c \
	agent/bus/kafka_state.c \
	agent/bus/kafka_topic.c \
	agent/bus/kafka_write.c \
	agent/bus/local.c agent/bus/local.h \
	agent/bus/local_block.c \
	agent/bus/local_put.c \
	agent/bus/local_read.c \
	agent/bus/local_write.c
EXTRA_DIST += agent/bus/README.md
