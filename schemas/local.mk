libtailrace_a_SOURCES += \
	schemas/change.h schemas/envelope.h schemas/event.h schemas/registry.h schemas/relation.h
EXTRA_DIST += schemas/README.md
libtailrace_a_SOURCES += schemas/relation.c
