libtailrace_a_SOURCES += \
	schemas/change.h schemas/envelope.h schemas/event.h schemas/registry.h schemas/relation.h
EXTRA_DIST += schemas/README.md
libtailrace_a_SOURCES += schemas/relation.c
libtailrace_a_SOURCES += schemas/avro.c schemas/avro.h schemas/event.c schemas/types.c \
	schemas/types.h schemas/types_number.c schemas/types_decimal.c schemas/types_time.c \
	schemas/types_text.c schemas/types_strict.c schemas/types_interval.c schemas/types_binary.c \
	schemas/types_hstore.c schemas/types_extension.c schemas/plan.c schemas/plan.h \
	schemas/schema_name.c schemas/schema_default.c schemas/schema_build.c \
	schemas/envelope_local.h schemas/envelope_schema.c schemas/shape.c schemas/shape.h \
	schemas/envelope_write.c schemas/envelope_read.c schemas/schema_parse.c \
	schemas/schema_parse.h schemas/schema_relation.c schemas/schema_walk.c
libtailrace_a_SOURCES += schemas/evolve.c schemas/registry_local.c
libtailrace_a_SOURCES += schemas/registry_cache.c schemas/registry_cache.h schemas/registry_call.c \
	schemas/registry_call.h schemas/registry_http.c schemas/registry_http.h
