libtailrace_a_SOURCES += agent/net/pg.c agent/net/pg.h agent/net/http_client.c agent/net/http_client.h
EXTRA_DIST += agent/net/README.md
