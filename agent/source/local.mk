libtailrace_a_SOURCES += \
	agent/source/added.c \
	agent/source/attached.c \
	agent/source/catalog.c agent/source/catalog.h \
	agent/source/catalog_named.c \
	agent/source/chunk.c agent/source/chunk.h \
	agent/source/copies.c agent/source/copies.h \
	agent/source/copy.c \
	agent/source/copytext.c agent/source/copytext.h \
	agent/source/ddl.c agent/source/ddl_script.c agent/source/ddl_script.h \
	agent/source/feed.c agent/source/visible.c \
	agent/source/inner.h \
	agent/source/keyset.c agent/source/keyset.h \
	agent/source/labels.c \
	agent/source/lane.c \
	agent/source/narrow.c agent/source/narrow.h \
	agent/source/place.c \
	agent/source/preflight.c agent/source/preflight.h \
	agent/source/preflight_disk.c agent/source/preflight_local.h \
	agent/source/preflight_publication.c agent/source/preflight_role.c agent/source/preflight_rules.c \
	agent/source/preflight_server.c agent/source/preflight_slot.c \
	agent/source/preflight_tables.c \
	agent/source/prepared.c \
	agent/source/publication.c agent/source/publication.h \
	agent/source/rels.c agent/source/rels.h \
	agent/source/remove.c \
	agent/source/reread.c \
	agent/source/run.c agent/source/run.h \
	agent/source/session.c \
	agent/source/sign.c agent/source/sign.h \
	agent/source/slot.c agent/source/slot.h \
	agent/source/snap.c agent/source/snap.h \
	agent/source/snap_ask.c \
	agent/source/source.c agent/source/source.h \
	agent/source/spill.c agent/source/spill.h \
	agent/source/state.c agent/source/state.h \
	agent/source/stream.c \
	agent/source/streamed.c \
	agent/source/tables.c \
	agent/source/timeline.c agent/source/timeline.h \
	agent/source/view.c agent/source/view.h \
	agent/source/watch.c
EXTRA_DIST += agent/source/README.md
