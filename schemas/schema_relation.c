/* SPDX-License-Identifier: Apache-2.0
 *
 * From a schema text back to the relation. In sane mode parameters tell the column as it was. Without
 * them (strict, or Debezium's own events) it is derived from the Avro type and the Connect name, as
 * far as those go: varchar comes back as text, an enum as text, an interval as what is left of it.
 */
#include "schemas/schema_parse.h"

/* What a representation says of its column when nothing else does. */
static const struct derived {
    enum type_kind kind;
    uint32_t oid, array_oid;
    int32_t typmod;
    const char *type_name, *type_sql;
} derived[REPR_COUNT] = {
    [REPR_BOOL] = {TYPE_BOOL, 16, 1000, -1, "bool", "boolean"},
    [REPR_INT2] = {TYPE_INT2, 21, 1005, -1, "int2", "smallint"},
    [REPR_INT4] = {TYPE_INT4, 23, 1007, -1, "int4", "integer"},
    [REPR_INT8] = {TYPE_INT8, 20, 1016, -1, "int8", "bigint"},
    [REPR_OID] = {TYPE_OID, 26, 1028, -1, "oid", "oid"},
    [REPR_FLOAT4] = {TYPE_FLOAT4, 700, 1021, -1, "float4", "real"},
    [REPR_FLOAT8] = {TYPE_FLOAT8, 701, 1022, -1, "float8", "double precision"},
    [REPR_DECIMAL] = {TYPE_NUMERIC, 1700, 1231, -1, "numeric", "numeric"},
    [REPR_VARIABLE] = {TYPE_NUMERIC, 1700, 1231, -1, "numeric", "numeric"},
    [REPR_NUMERIC_DOUBLE] = {TYPE_NUMERIC, 1700, 1231, -1, "numeric", "numeric"},
    [REPR_STRING] = {TYPE_TEXT, 25, 1009, -1, "text", "text"},
    [REPR_JSON] = {TYPE_JSON, 114, 199, -1, "json", "json"},
    [REPR_UUID] = {TYPE_UUID, 2950, 2951, -1, "uuid", "uuid"},
    [REPR_ENUM] = {TYPE_TEXT, 25, 1009, -1, "text", "text"},
    [REPR_BYTES] = {TYPE_BYTEA, 17, 1001, -1, "bytea", "bytea"},
    [REPR_DATE] = {TYPE_DATE, 1082, 1182, -1, "date", "date"},
    [REPR_TIME_MS] = {TYPE_TIME, 1083, 1183, 3, "time", "time(3) without time zone"},
    [REPR_TIME_US] = {TYPE_TIME, 1083, 1183, -1, "time", "time without time zone"},
    [REPR_TIMESTAMP_MS] = {TYPE_TIMESTAMP, 1114, 1115, 3, "timestamp", "timestamp(3) without time zone"},
    [REPR_TIMESTAMP_US] = {TYPE_TIMESTAMP, 1114, 1115, -1, "timestamp", "timestamp without time zone"},
    [REPR_ZONED_TIMESTAMP] = {TYPE_TIMESTAMPTZ, 1184, 1185, -1, "timestamptz", "timestamp with time zone"},
    [REPR_ZONED_TIME] = {TYPE_TIMETZ, 1266, 1270, -1, "timetz", "time with time zone"},
    [REPR_DURATION] = {TYPE_INTERVAL, 1186, 1187, -1, "interval", "interval"},
    [REPR_BIT] = {TYPE_BOOL, 16, 1000, -1, "bool", "boolean"},
    [REPR_BITS] = {TYPE_VARBIT, 1562, 1563, -1, "varbit", "bit varying"},
    [REPR_MONEY] = {TYPE_NUMERIC, 1700, 1231, -1, "numeric", "numeric"},
    [REPR_XML] = {TYPE_XML, 142, 143, -1, "xml", "xml"},
    [REPR_TSVECTOR] = {TYPE_TSVECTOR, 3614, 3643, -1, "tsvector", "tsvector"},
    [REPR_LTREE] = {TYPE_TEXT, 25, 1009, -1, "text", "text"},
    [REPR_HSTORE] = {TYPE_JSON, 114, 199, -1, "json", "json"},
    [REPR_POINT] = {TYPE_POINT, 600, 1017, -1, "point", "point"},
    [REPR_TIME_NS] = {TYPE_TIME, 1083, 1183, -1, "time", "time without time zone"},
    [REPR_TIMESTAMP_NS] = {TYPE_TIMESTAMP, 1114, 1115, -1, "timestamp", "timestamp without time zone"},
    [REPR_CONNECT_DATE] = {TYPE_DATE, 1082, 1182, -1, "date", "date"},
    [REPR_CONNECT_TIME] = {TYPE_TIME, 1083, 1183, -1, "time", "time without time zone"},
    [REPR_CONNECT_TIMESTAMP] = {TYPE_TIMESTAMP, 1114, 1115, -1, "timestamp", "timestamp without time zone"},
    [REPR_ISO_DATE] = {TYPE_DATE, 1082, 1182, -1, "date", "date"},
    [REPR_ISO_TIME] = {TYPE_TIME, 1083, 1183, -1, "time", "time without time zone"},
    [REPR_ISO_TIMESTAMP] = {TYPE_TIMESTAMP, 1114, 1115, -1, "timestamp", "timestamp without time zone"},
    [REPR_ISO_INTERVAL] = {TYPE_INTERVAL, 1186, 1187, -1, "interval", "interval"},
    [REPR_BASE64] = {TYPE_BYTEA, 17, 1001, -1, "bytea", "bytea"},
    [REPR_BASE64_URL] = {TYPE_BYTEA, 17, 1001, -1, "bytea", "bytea"},
    [REPR_HEX] = {TYPE_BYTEA, 17, 1001, -1, "bytea", "bytea"},
    [REPR_HSTORE_MAP] = {TYPE_TEXT, 25, 1009, -1, "text", "text"},
    [REPR_NUMERIC_STRING] = {TYPE_TEXT, 25, 1009, -1, "text", "text"},
    [REPR_MONEY_DOUBLE] = {TYPE_NUMERIC, 1700, 1231, -1, "numeric", "numeric"},
    [REPR_MONEY_STRING] = {TYPE_TEXT, 25, 1009, -1, "text", "text"},
    [REPR_GEOMETRY] = {TYPE_GEOMETRY, 0, 0, -1, "geometry", "geometry"},
    [REPR_GEOGRAPHY] = {TYPE_GEOGRAPHY, 0, 0, -1, "geography", "geography"},
    [REPR_VECTOR] = {TYPE_VECTOR, 0, 0, -1, "vector", "vector"},
    [REPR_HALFVEC] = {TYPE_HALFVEC, 0, 0, -1, "halfvec", "halfvec"},
    [REPR_SPARSEVEC] = {TYPE_SPARSEVEC, 0, 0, -1, "sparsevec", "sparsevec"},
};

static const char *avro_name(enum avro_type type)
{
    switch (type) {
    case AVRO_T_BOOLEAN: return "boolean";
    case AVRO_T_INT: return "int";
    case AVRO_T_LONG: return "long";
    case AVRO_T_FLOAT: return "float";
    case AVRO_T_DOUBLE: return "double";
    case AVRO_T_STRING: return "string";
    case AVRO_T_BYTES: return "bytes";
    case AVRO_T_RECORD: return "record";
    case AVRO_T_MAP: return "map";
    case AVRO_T_ARRAY: return "array";
    case AVRO_T_NULL: case AVRO_T_ENUM: case AVRO_T_FIXED: case AVRO_T_UNION: case AVRO_T_NAME: return "";
    }
    return "";
}

/* The representation of a type without parts; REPR_COUNT when it is none of ours. A Connect name that
 * we do not know leaves the plain type. */
static enum repr_id repr_find(const struct avro_node *n)
{
    struct str name = schema_text(n->json, "connect.name"), type = schema_text(n->json, "connect.type");
    const char *avro = avro_name(n->type);
    enum repr_id plain = REPR_COUNT;
    for (enum repr_id id = 0; id < REPR_COUNT; id++) {
        const struct repr *repr = &repr_table[id];
        if (strcmp(repr->avro, avro) != 0)
            continue;
        if (name.len && repr->connect_name && str_is(name, repr->connect_name))
            return id;
        bool narrow = repr->connect_type && !str_is(type, repr->connect_type);
        if (!repr->connect_name && plain == REPR_COUNT && !narrow)
            plain = id;
    }
    return plain;
}

/* Decimal's record must have the two fields its reader takes. */
static bool is_variable(const struct avro_schema *s, const struct avro_node *n)
{
    return n->kid_count == 2 && s->nodes[schema_kid(s, n, 0)].type == AVRO_T_INT
        && s->nodes[schema_kid(s, n, 1)].type == AVRO_T_BYTES;
}

/* Point's: two doubles, optional bytes, an optional int. */
static bool is_point(const struct avro_schema *s, const struct avro_node *n)
{
    int wkb, srid;
    return n->kid_count == 4 && s->nodes[schema_kid(s, n, 0)].type == AVRO_T_DOUBLE
        && s->nodes[schema_kid(s, n, 1)].type == AVRO_T_DOUBLE
        && schema_optional(s, schema_kid(s, n, 2), &wkb) == 0 && s->nodes[wkb].type == AVRO_T_BYTES
        && schema_optional(s, schema_kid(s, n, 3), &srid) == 0 && s->nodes[srid].type == AVRO_T_INT;
}

/* hstore's: of null or a string. */
static bool is_hstore_map(const struct avro_schema *s, const struct avro_node *n)
{
    int value;
    return schema_optional(s, schema_kid(s, n, 0), &value) == 0 && s->nodes[value].type == AVRO_T_STRING;
}

static bool kid_is(const struct avro_schema *s, const struct avro_node *n, int kid, enum avro_type type)
{
    return kid < n->kid_count && s->nodes[schema_kid(s, n, kid)].type == type;
}

/* PostGIS's: bytes and an optional int. */
static bool is_geometry(const struct avro_schema *s, const struct avro_node *n)
{
    int srid;
    return n->kid_count == 2 && kid_is(s, n, 0, AVRO_T_BYTES)
        && schema_optional(s, schema_kid(s, n, 1), &srid) == 0 && s->nodes[srid].type == AVRO_T_INT;
}

/* An int and a list of records of int and double. */
static bool is_sparse(const struct avro_schema *s, const struct avro_node *n)
{
    if (n->kid_count != 2 || !kid_is(s, n, 0, AVRO_T_INT) || !kid_is(s, n, 1, AVRO_T_ARRAY))
        return false;
    const struct avro_node *list = &s->nodes[schema_kid(s, n, 1)], *entry = &s->nodes[schema_kid(s, list, 0)];
    return entry->type == AVRO_T_RECORD && entry->kid_count == 2 && kid_is(s, entry, 0, AVRO_T_INT)
        && kid_is(s, entry, 1, AVRO_T_DOUBLE);
}

/* The parts of a type that has some are those that its reader takes. */
static bool parts_fit(const struct avro_schema *s, const struct avro_node *n, enum repr_id id)
{
    switch (id) {
    case REPR_VARIABLE: return is_variable(s, n);
    case REPR_POINT: return is_point(s, n);
    case REPR_HSTORE_MAP: return is_hstore_map(s, n);
    case REPR_GEOMETRY: case REPR_GEOGRAPHY: return is_geometry(s, n);
    case REPR_VECTOR: return kid_is(s, n, 0, AVRO_T_DOUBLE);
    case REPR_HALFVEC: return kid_is(s, n, 0, AVRO_T_FLOAT);
    case REPR_SPARSEVEC: return is_sparse(s, n);
    default: return id != REPR_COUNT;
    }
}

/* The length that Bits carries as a parameter. */
static int bits_length(const struct avro_node *n)
{
    int64_t length;
    struct str text = schema_text(json_object_get(n->json, "connect.parameters"), "length");
    return str_to_i64(text, &length) && length > 0 && length <= BITS_MAX ? (int) length : -1;
}

static bool codec_of_node(const struct avro_schema *s, int node, struct codec *c, enum repr_id *id)
{
    const struct avro_node *n = &s->nodes[node];
    *c = (struct codec){.scale = -1, .element_null = -1};
    c->array = n->type == AVRO_T_ARRAY && repr_find(n) == REPR_COUNT; /* a vector is one value */
    if (c->array) {
        c->element_null = schema_optional(s, schema_kid(s, n, 0), &node);
        n = &s->nodes[node];
    }
    *id = repr_find(n);
    if (c->element_null < -1 || !parts_fit(s, n, *id))
        return false;
    c->repr = &repr_table[*id];
    const json_t *scale = json_object_get(n->json, "scale");
    const json_t *precision = json_object_get(n->json, "precision");
    int64_t digits = json_integer_value(scale);
    if (digits > DECIMAL_MAX_SCALE || digits < -DECIMAL_MAX_SCALE)
        return false;
    c->scale = (int) digits;
    c->precision = (int) json_integer_value(precision);
    if (*id == REPR_BITS)
        c->scale = bits_length(n);
    return true;
}

/* ---- a column ---- */

static struct str param(const json_t *params, const char *name)
{
    return schema_text(params, name);
}

static int64_t int_param(const json_t *params, const char *name, int64_t otherwise)
{
    int64_t value;
    return str_to_i64(param(params, name), &value) ? value : otherwise;
}

static void derive_column(struct column *c, enum repr_id id, const struct codec *codec, struct arena *a)
{
    const struct derived *d = &derived[id];
    c->kind = d->kind;
    c->array = codec->array;
    c->typmod = d->typmod;
    c->type_oid = codec->array ? d->array_oid : d->oid;
    c->type_name = codec->array ? arena_printf(a, "_%s", d->type_name) : str_of(d->type_name);
    c->type_sql = str_of(d->type_sql);
    if (id == REPR_DECIMAL && codec->precision > 0 && codec->precision <= 1000) {
        c->typmod = (codec->precision << 16 | (codec->scale & 0x7ff)) + 4;
        c->type_sql = arena_printf(a, "numeric(%d,%d)", codec->precision, codec->scale);
    }
    if (codec->array)
        c->type_sql = arena_printf(a, "%.*s[]", STR_ARG(c->type_sql));
}

static void describe_column(struct column *c, const json_t *params)
{
    c->kind = type_kind_find(param(params, PARAM_COLUMN "kind"));
    c->array = param(params, PARAM_COLUMN "array").len > 0;
    c->typmod = (int32_t) int_param(params, PARAM_COLUMN "typmod", -1);
    c->type_oid = (uint32_t) int_param(params, PARAM_COLUMN "oid", 0);
    c->type_sql = param(params, PARAM_COLUMN "type");
    c->type_name = param(params, PARAM_COLUMN "type_name");
    c->not_null = param(params, PARAM_COLUMN "not_null").len > 0;
    c->identity = param(params, PARAM_COLUMN "identity").len > 0;
    c->generated = param(params, PARAM_COLUMN "generated").len > 0;
    c->key_position = (int) int_param(params, PARAM_COLUMN "key", 0);
    c->enum_labels = param(params, PARAM_COLUMN "labels");
    c->default_sql = param(params, PARAM_COLUMN "default");
    c->attnum = (int) int_param(params, PARAM_COLUMN "attnum", 0);
    c->has_missing = json_object_get(params, PARAM_COLUMN "missing") != NULL;
    c->missing = param(params, PARAM_COLUMN "missing");
    c->name = param(params, "__debezium.source.column.name");
}

/* What the kind of a described column says of its representation that the Avro type does not. */
static bool refine_codec(const struct column *column, const json_t *params, enum repr_id id, struct codec *c)
{
    int scale, precision;
    if (column->kind == TYPE_NUMERIC && id == REPR_FLOAT8) {
        c->repr = &repr_table[REPR_NUMERIC_DOUBLE];
        c->scale = typmod_numeric(column->typmod, &precision, &scale) ? scale : -1;
    } else if (column->kind == TYPE_HSTORE && id == REPR_JSON) {
        c->repr = &repr_table[REPR_HSTORE];
    } else if (column->kind == TYPE_BYTEA && id == REPR_STRING) {
        enum repr_id form = binary_form_find(param(params, PARAM_COLUMN "form"));
        if (form == REPR_COUNT)
            return false; /* a text of which nobody knows the bytes */
        c->repr = &repr_table[form];
    }
    return true;
}

/* One field of Value: how to read it and what column it is. */
static int read_field(const struct relation_parts *parts, int at, struct column_reader *reader,
                      struct column *column, struct arena *a)
{
    const struct avro_schema *s = parts->value;
    const struct avro_node *record = &s->nodes[parts->record];
    const json_t *field = schema_field_json(record, at);
    enum repr_id id;
    int node;
    reader->null_branch = schema_optional(s, schema_kid(s, record, at), &node);
    if (reader->null_branch < -1 || !codec_of_node(s, node, &reader->codec, &id))
        return -1;
    const json_t *params = json_object_get(field, "connect.parameters");
    if (!params)
        params = json_object_get(s->nodes[node].json, "connect.parameters");
    column->name = schema_text(field, "name");
    column->not_null = reader->null_branch == -1;
    derive_column(column, id, &reader->codec, a);
    if (!param(params, PARAM_COLUMN "kind").len)
        return 0;
    describe_column(column, params);
    return refine_codec(column, params, id, &reader->codec) ? 0 : -1;
}

/* ---- the relation ---- */

static void read_key(const struct avro_schema *key, const struct row_reader *out, struct column *columns,
                     int count)
{
    const struct avro_node *record = &key->nodes[0];
    for (int at = 0; record->type == AVRO_T_RECORD && at < record->kid_count; at++) {
        struct str name = schema_text(schema_field_json(record, at), "name");
        for (int column = 0; column < count; column++)
            if (str_eq(out->fields[column], name))
                columns[column].key_position = at + 1;
    }
}

static void read_table(const struct relation_parts *parts, struct relation *rel, struct row_reader *out)
{
    const struct avro_node *record = &parts->value->nodes[parts->record];
    const json_t *params = json_object_get(record->json, "connect.parameters");
    out->described = json_object_get(params, PARAM_TABLE "name") != NULL;
    rel->space = out->described ? param(params, PARAM_TABLE "schema") : parts->space;
    rel->name = out->described ? param(params, PARAM_TABLE "name") : parts->name;
    rel->oid = (uint32_t) int_param(params, PARAM_TABLE "oid", 0);
    rel->left_out = param(params, PARAM_TABLE "left_out");
    rel->identity = param(params, PARAM_TABLE "identity").len ? param(params, PARAM_TABLE "identity").p[0]
                                                             : 'd';
}

int schema_relation(const struct relation_parts *parts, struct arena *a, struct row_reader *out,
                    struct err *e)
{
    const struct avro_node *record = &parts->value->nodes[parts->record];
    size_t count = (size_t) record->kid_count;
    struct relation *rel = arena_zalloc(a, 1, sizeof *rel);
    struct column *columns = arena_zalloc(a, count + 1, sizeof *columns);
    out->columns = arena_zalloc(a, count + 1, sizeof *out->columns);
    out->fields = arena_zalloc(a, count + 1, sizeof *out->fields);
    read_table(parts, rel, out);
    for (int at = 0; at < record->kid_count; at++) {
        out->fields[at] = schema_text(schema_field_json(record, at), "name");
        if (read_field(parts, at, &out->columns[at], &columns[at], a))
            return err_set(e, E_AVRO, "field %.*s of %.*s has a type that tailrace does not read",
                           STR_ARG(out->fields[at]), STR_ARG(record->name));
    }
    if (parts->key && !out->described)
        read_key(parts->key, out, columns, record->kid_count);
    for (int at = 0; at < record->kid_count; at++)
        if (columns[at].key_position > rel->key_count)
            rel->key_count = columns[at].key_position;
    rel->column_count = record->kid_count;
    rel->columns = columns;
    out->rel = relation_copy(a, rel); /* no text may point into the parsed schema */
    return 0;
}
