libtailrace_a_SOURCES += \
	agent/http/control.c agent/http/control.h \
	agent/http/control_ask.c \
	agent/http/http.c agent/http/http.h \
	agent/http/notify.c agent/http/notify.h
EXTRA_DIST += agent/http/README.md
