libtailrace_a_SOURCES += \
	agent/hub/park.c agent/hub/park.h agent/hub/park_text.c \
	agent/hub/pump.c agent/hub/pump.h agent/hub/pump_local.h \
	agent/hub/pump_batch.c \
	agent/hub/pump_loop.c \
	agent/hub/pump_park.c \
	agent/hub/pump_replay.c \
	agent/hub/route.c agent/hub/route.h
EXTRA_DIST += agent/hub/README.md
