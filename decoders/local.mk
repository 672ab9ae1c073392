libtailrace_a_SOURCES += decoders/decoder.h decoders/decoders.c \
	decoders/pgoutput/message.h \
	decoders/pgoutput/pgoutput.c decoders/pgoutput/pgoutput.h \
	decoders/pgoutput/prepared.c \
	decoders/pgoutput/relcache.c decoders/pgoutput/relcache.h \
	decoders/pgoutput/rows.c \
	decoders/pgoutput/streamed.c \
	decoders/test_decoding/line.c decoders/test_decoding/line.h \
	decoders/test_decoding/names.c \
	decoders/test_decoding/rows.c \
	decoders/test_decoding/test_decoding.c decoders/test_decoding/test_decoding.h
EXTRA_DIST += decoders/README.md
