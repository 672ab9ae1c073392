libtailrace_a_SOURCES += \
	agent/source/catalog.c agent/source/catalog.h \
	agent/source/copytext.c agent/source/copytext.h \
	agent/source/preflight.h \
	agent/source/sign.c agent/source/sign.h \
	agent/source/source.h \
	agent/source/state.c agent/source/state.h \
	agent/source/timeline.c agent/source/timeline.h
