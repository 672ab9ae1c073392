libtailrace_a_SOURCES += \
	agent/source/catalog.c agent/source/catalog.h \
	agent/source/preflight.h \
	agent/source/source.h
