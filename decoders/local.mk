libtailrace_a_SOURCES += decoders/decoder.h decoders/decoders.c \
	decoders/pgoutput/message.h \
	decoders/pgoutput/pgoutput.c decoders/pgoutput/pgoutput.h \
	decoders/pgoutput/relcache.c decoders/pgoutput/relcache.h \
	decoders/pgoutput/rows.c \
	decoders/pgoutput/streamed.c
EXTRA_DIST += decoders/README.md
