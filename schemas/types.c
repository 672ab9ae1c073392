/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of representations and the choice among them. schemas/README.md has it in words.
 */
#include "schemas/types.h"

#define EPOCH_TEXT "1970-01-01 00:00:00"
#define EMPTY_COLLECTION "010700000000000000"
#define CONNECT "org.apache.kafka.connect.data."

/* zero: an empty string or number; a Decimal of no bytes makes a foreign reader fail instead of
 * taking a number that is not there. fallback: what Debezium's converters fill in. */
const struct repr repr_table[REPR_COUNT] = {
    [REPR_BOOL] = {"boolean", NULL, NULL, write_bool, read_bool, {"\0", 1}, {"f", 1}},
    [REPR_INT2] = {"int", NULL, "int16", write_int2, read_int, {"\0", 1}, {"0", 1}},
    [REPR_INT4] = {"int", NULL, NULL, write_int4, read_int, {"\0", 1}, {"0", 1}},
    [REPR_INT8] = {"long", NULL, NULL, write_int8, read_long, {"\0", 1}, {"0", 1}},
    [REPR_OID] = {"long", NULL, NULL, write_oid, read_long, {"\0", 1}, {"0", 1}},
    [REPR_FLOAT4] = {"float", NULL, NULL, write_float4, read_float4, {"\0\0\0\0", 4}, {"0", 1}},
    [REPR_FLOAT8] = {"double", NULL, NULL, write_float8, read_float8, {"\0\0\0\0\0\0\0\0", 8}, {"0", 1}},
    [REPR_DECIMAL] = {"bytes", "org.apache.kafka.connect.data.Decimal", NULL, write_decimal,
                      read_decimal, {"\0", 1}, {"0", 1}},
    [REPR_VARIABLE] = {"record", "io.debezium.data.VariableScaleDecimal", NULL, write_variable,
                       read_variable, {"\0\0", 2}, {"0", 1}},
    [REPR_NUMERIC_DOUBLE] = {"double", NULL, NULL, write_numeric_double, read_numeric_double,
                             {"\0\0\0\0\0\0\0\0", 8}, {"0", 1}},
    [REPR_STRING] = {"string", NULL, NULL, write_string, read_string, {"\0", 1}, {"", 0}},
    [REPR_JSON] = {"string", "io.debezium.data.Json", NULL, write_string, read_string, {"\0", 1}, {"", 0}},
    [REPR_UUID] = {"string", "io.debezium.data.Uuid", NULL, write_string, read_string, {"\0", 1}, {"", 0}},
    [REPR_ENUM] = {"string", "io.debezium.data.Enum", NULL, write_string, read_string, {"\0", 1}, {"", 0}},
    [REPR_BYTES] = {"bytes", NULL, NULL, write_bytes, read_bytes, {"\0", 1}, {"\\x", 2}},
    [REPR_DATE] = {"int", "io.debezium.time.Date", NULL, write_date, read_date, {"\0", 1},
                   {"1970-01-01", 10}},
    [REPR_TIME_MS] = {"int", "io.debezium.time.Time", NULL, write_time_ms, read_time_ms, {"\0", 1},
                      {"00:00:00", 8}},
    [REPR_TIME_US] = {"long", "io.debezium.time.MicroTime", NULL, write_time_us, read_time_us,
                      {"\0", 1}, {"00:00:00", 8}},
    [REPR_TIMESTAMP_MS] = {"long", "io.debezium.time.Timestamp", NULL, write_timestamp_ms,
                           read_timestamp_ms, {"\0", 1}, {EPOCH_TEXT, 19}},
    [REPR_TIMESTAMP_US] = {"long", "io.debezium.time.MicroTimestamp", NULL, write_timestamp_us,
                           read_timestamp_us, {"\0", 1}, {EPOCH_TEXT, 19}},
    [REPR_ZONED_TIMESTAMP] = {"string", "io.debezium.time.ZonedTimestamp", NULL, write_zoned_timestamp,
                              read_zoned_timestamp, {"\0", 1}, {EPOCH_TEXT "+00", 22}},
    [REPR_ZONED_TIME] = {"string", "io.debezium.time.ZonedTime", NULL, write_zoned_time,
                         read_zoned_time, {"\0", 1}, {"00:00:00+00", 11}},
    [REPR_DURATION] = {"long", "io.debezium.time.MicroDuration", NULL, write_duration, read_duration,
                       {"\0", 1}, {"00:00:00", 8}},
    [REPR_BIT] = {"boolean", NULL, NULL, write_bit, read_bool, {"\0", 1}, {"0", 1}},
    [REPR_BITS] = {"bytes", "io.debezium.data.Bits", NULL, write_bits, read_bits, {"\0", 1}, {"", 0}},
    [REPR_MONEY] = {"bytes", "org.apache.kafka.connect.data.Decimal", NULL, write_money, read_decimal,
                    {"\0", 1}, {"0", 1}},
    [REPR_XML] = {"string", "io.debezium.data.Xml", NULL, write_string, read_string, {"\0", 1}, {"", 0}},
    [REPR_TSVECTOR] = {"string", "io.debezium.data.Tsvector", NULL, write_string, read_string, {"\0", 1}, {"", 0}},
    [REPR_LTREE] = {"string", "io.debezium.data.Ltree", NULL, write_string, read_string, {"\0", 1}, {"", 0}},
    [REPR_HSTORE] = {"string", "io.debezium.data.Json", NULL, write_hstore_json, read_hstore_json, {"\0", 1}, {"", 0}},
    [REPR_POINT] = {"record", "io.debezium.data.geometry.Point", NULL, write_point, read_point,
                    {"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18}, {"(0,0)", 5}},
    [REPR_TIME_NS] = {"long", "io.debezium.time.NanoTime", NULL, write_time_ns, read_time_ns, {"\0", 1},
                      {"00:00:00", 8}},
    [REPR_TIMESTAMP_NS] = {"long", "io.debezium.time.NanoTimestamp", NULL, write_timestamp_ns, read_timestamp_ns,
                           {"\0", 1}, {EPOCH_TEXT, 19}},
    [REPR_CONNECT_DATE] = {"int", CONNECT "Date", NULL, write_date, read_date, {"\0", 1}, {"1970-01-01", 10}},
    [REPR_CONNECT_TIME] = {"int", CONNECT "Time", NULL, write_connect_time, read_time_ms, {"\0", 1}, {"00:00:00", 8}},
    [REPR_CONNECT_TIMESTAMP] = {"long", CONNECT "Timestamp", NULL, write_connect_timestamp, read_timestamp_ms,
                                {"\0", 1}, {EPOCH_TEXT, 19}},
    [REPR_ISO_DATE] = {"string", "io.debezium.time.IsoDate", NULL, write_iso_date, read_iso_date, {"\0", 1},
                       {"1970-01-01", 10}},
    [REPR_ISO_TIME] = {"string", "io.debezium.time.IsoTime", NULL, write_iso_time, read_iso_time, {"\0", 1},
                       {"00:00:00", 8}},
    [REPR_ISO_TIMESTAMP] = {"string", "io.debezium.time.IsoTimestamp", NULL, write_iso_timestamp,
                            read_iso_timestamp, {"\0", 1}, {EPOCH_TEXT, 19}},
    [REPR_ISO_INTERVAL] = {"string", "io.debezium.time.Interval", NULL, write_iso_interval, read_iso_interval,
                           {"\0", 1}, {"00:00:00", 8}},
    [REPR_BASE64] = {"string", NULL, NULL, write_base64, read_base64, {"\0", 1}, {"\\x", 2}},
    [REPR_BASE64_URL] = {"string", NULL, NULL, write_base64_url, read_base64_url, {"\0", 1}, {"\\x", 2}},
    [REPR_HEX] = {"string", NULL, NULL, write_hex, read_hex, {"\0", 1}, {"\\x", 2}},
    [REPR_HSTORE_MAP] = {"map", NULL, NULL, write_hstore_map, read_hstore_map, {"\0", 1}, {"", 0}},
    [REPR_NUMERIC_STRING] = {"string", NULL, NULL, write_numeric_string, read_string, {"\0", 1}, {"0", 1}},
    [REPR_MONEY_DOUBLE] = {"double", NULL, NULL, write_money_double, read_numeric_double,
                           {"\0\0\0\0\0\0\0\0", 8}, {"0", 1}},
    [REPR_MONEY_STRING] = {"string", NULL, NULL, write_money_string, read_string, {"\0", 1}, {"0", 1}},
    [REPR_GEOMETRY] = {"record", "io.debezium.data.geometry.Geometry", NULL, write_geometry, read_geometry,
                       {"\0\0", 2}, {EMPTY_COLLECTION, 18}},
    [REPR_GEOGRAPHY] = {"record", "io.debezium.data.geometry.Geography", NULL, write_geometry, read_geometry,
                        {"\0\0", 2}, {EMPTY_COLLECTION, 18}},
    [REPR_VECTOR] = {"array", "io.debezium.data.DoubleVector", NULL, write_vector, read_vector, {"\0", 1}, {"[]", 2}},
    [REPR_HALFVEC] = {"array", "io.debezium.data.FloatVector", NULL, write_vector, read_vector, {"\0", 1}, {"[]", 2}},
    [REPR_SPARSEVEC] = {"record", "io.debezium.data.SparseDoubleVector", NULL, write_sparsevec, read_sparsevec,
                        {"\0\0", 2}, {"{}/0", 4}},
};

static const struct {
    enum repr_id id;
    const char *name;
} binary_forms[] = {{REPR_BASE64, "base64"}, {REPR_BASE64_URL, "base64-url-safe"}, {REPR_HEX, "hex"}};
#define BINARY_FORMS (sizeof binary_forms / sizeof *binary_forms)

enum repr_id binary_form_find(struct str name)
{
    for (size_t at = 0; at < BINARY_FORMS; at++)
        if (str_is(name, binary_forms[at].name))
            return binary_forms[at].id;
    return REPR_COUNT;
}

const char *binary_form_name(const struct repr *repr)
{
    for (size_t at = 0; at < BINARY_FORMS; at++)
        if (repr == &repr_table[binary_forms[at].id])
            return binary_forms[at].name;
    return NULL;
}

bool repr_is_decimal(const struct repr *repr)
{
    return repr == &repr_table[REPR_DECIMAL] || repr == &repr_table[REPR_MONEY];
}

bool repr_is_extension(const struct repr *repr)
{
    return repr >= &repr_table[REPR_GEOMETRY] && repr <= &repr_table[REPR_SPARSEVEC];
}

/* In the order of enum type_kind. */
static const char *const kind_names[] = {
    "other", "bool", "int2", "int4", "int8", "oid", "float4", "float8", "numeric", "text", "bytea",
    "uuid", "json", "enum", "date", "time", "timetz", "timestamp", "timestamptz", "interval",
    "bit", "varbit", "money", "xml", "tsvector", "ltree", "hstore", "point",
    "geometry", "geography", "vector", "halfvec", "sparsevec",
};
#define KINDS (sizeof kind_names / sizeof *kind_names)
_Static_assert(KINDS == TYPE_SPARSEVEC + 1, "a name for each kind");

const char *type_kind_name(enum type_kind kind)
{
    return kind_names[kind];
}

enum type_kind type_kind_find(struct str name)
{
    for (size_t kind = 0; kind < KINDS; kind++)
        if (str_is(name, kind_names[kind]))
            return (enum type_kind) kind;
    return TYPE_OTHER;
}

/* numeric(p,s) is a Decimal; without a typmod each value carries its scale. Scales outside 0..p
 * (PostgreSQL 15) are no valid Avro decimal: sane carries the scale in the value there too. */
static enum repr_id choose_numeric(const struct column *column, const struct envelope_options *o,
                                   struct codec *c)
{
    c->scale = -1;
    bool fixed = typmod_numeric(column->typmod, &c->precision, &c->scale);
    if (o->decimal == DECIMAL_STRING)
        return o->strict ? REPR_NUMERIC_STRING : REPR_STRING;
    if (o->decimal == DECIMAL_DOUBLE)
        return REPR_NUMERIC_DOUBLE;
    if (!fixed || (!o->strict && (c->scale < 0 || c->scale > c->precision)))
        return REPR_VARIABLE;
    return REPR_DECIMAL;
}

/* One bit is a boolean; more are bytes. */
static enum repr_id choose_bits(const struct column *column, struct codec *c)
{
    c->scale = column->typmod > 0 ? column->typmod : column->kind == TYPE_BIT ? 1 : INT32_MAX;
    return c->scale == 1 ? REPR_BIT : REPR_BITS;
}

static enum repr_id choose_money(const struct envelope_options *o, struct codec *c)
{
    c->scale = 2;
    c->precision = 0;
    if (!o->strict)
        return REPR_STRING;
    switch (o->decimal) {
    case DECIMAL_DOUBLE: return REPR_MONEY_DOUBLE;
    case DECIMAL_STRING: return REPR_MONEY_STRING;
    case DECIMAL_PRECISE: break;
    }
    return REPR_MONEY;
}

/* Which of the three, and in which form; c->scale has the digits of the fraction. */
static enum repr_id choose_time(enum type_kind kind, const struct envelope_options *o, const struct codec *c)
{
    static const struct {
        enum repr_id date, time, timestamp;
    } forms[] = {
        [TIMES_ADAPTIVE] = {REPR_DATE, REPR_TIME_US, REPR_TIMESTAMP_US},
        [TIMES_MICROSECONDS] = {REPR_DATE, REPR_TIME_US, REPR_TIMESTAMP_US},
        [TIMES_NANOSECONDS] = {REPR_DATE, REPR_TIME_NS, REPR_TIMESTAMP_NS},
        [TIMES_CONNECT] = {REPR_CONNECT_DATE, REPR_CONNECT_TIME, REPR_CONNECT_TIMESTAMP},
        [TIMES_ISOSTRING] = {REPR_ISO_DATE, REPR_ISO_TIME, REPR_ISO_TIMESTAMP},
    };
    bool millis = o->time == TIMES_ADAPTIVE && c->scale <= 3;
    if (kind == TYPE_DATE)
        return forms[o->time].date;
    if (kind == TYPE_TIME)
        return millis ? REPR_TIME_MS : forms[o->time].time;
    return millis ? REPR_TIMESTAMP_MS : forms[o->time].timestamp;
}

static enum repr_id choose_interval(const struct envelope_options *o, struct codec *c)
{
    switch (o->interval) {
    case INTERVAL_AUTO: return o->strict ? REPR_DURATION : REPR_STRING;
    case INTERVAL_NUMERIC: break;
    case INTERVAL_STRING: c->trust = TRUST_CHECKED; return REPR_ISO_INTERVAL;
    case INTERVAL_POSTGRES: return REPR_STRING;
    }
    c->trust = o->strict ? TRUST_WRITER : TRUST_CHECKED; /* strict is to lose what Debezium loses */
    return REPR_DURATION;
}

/* In strict nothing in the schema tells a text of bytea from another. */
static enum repr_id choose_binary(const struct envelope_options *o, struct codec *c)
{
    static const enum repr_id forms[] = {
        [BINARY_BYTES] = REPR_BYTES, [BINARY_BASE64] = REPR_BASE64,
        [BINARY_BASE64_URL] = REPR_BASE64_URL, [BINARY_HEX] = REPR_HEX,
    };
    if (o->strict && o->binary != BINARY_BYTES)
        c->trust = TRUST_NEVER;
    return forms[o->binary];
}

static enum repr_id choose_hstore(const struct envelope_options *o, struct codec *c)
{
    switch (o->hstore) {
    case HSTORE_AUTO: return o->strict ? REPR_HSTORE : REPR_STRING;
    case HSTORE_JSON: c->trust = o->strict ? TRUST_WRITER : TRUST_CHECKED; return REPR_HSTORE;
    case HSTORE_MAP: c->trust = TRUST_CHECKED; return REPR_HSTORE_MAP;
    case HSTORE_TEXT: break;
    }
    return REPR_STRING;
}

static enum repr_id choose(const struct column *column, const struct envelope_options *o,
                           struct codec *c)
{
    c->scale = column->typmod < 0 || column->typmod > 6 ? 6 : column->typmod;
    switch (column->kind) {
    case TYPE_OTHER: return REPR_STRING;
    case TYPE_BOOL: return REPR_BOOL;
    case TYPE_INT2: return REPR_INT2;
    case TYPE_INT4: return REPR_INT4;
    case TYPE_INT8: return REPR_INT8;
    case TYPE_OID: return REPR_OID;
    case TYPE_FLOAT4: return REPR_FLOAT4;
    case TYPE_FLOAT8: return REPR_FLOAT8;
    case TYPE_NUMERIC: return choose_numeric(column, o, c);
    case TYPE_TEXT: return REPR_STRING;
    case TYPE_BYTEA: return choose_binary(o, c);
    case TYPE_UUID: return REPR_UUID;
    case TYPE_JSON: return REPR_JSON;
    case TYPE_ENUM: return REPR_ENUM;
    case TYPE_DATE: case TYPE_TIME: case TYPE_TIMESTAMP: return choose_time(column->kind, o, c);
    case TYPE_TIMETZ: return o->strict ? REPR_ZONED_TIME : REPR_STRING;
    case TYPE_TIMESTAMPTZ: return REPR_ZONED_TIMESTAMP;
    case TYPE_INTERVAL: return choose_interval(o, c);
    case TYPE_BIT: case TYPE_VARBIT: return o->strict ? choose_bits(column, c) : REPR_STRING;
    case TYPE_MONEY: return choose_money(o, c);
    case TYPE_XML: return REPR_XML;
    case TYPE_TSVECTOR: return REPR_TSVECTOR;
    case TYPE_LTREE: return REPR_LTREE;
    case TYPE_HSTORE: return choose_hstore(o, c);
    case TYPE_POINT: return o->strict ? REPR_POINT : REPR_STRING;
    case TYPE_GEOMETRY: return o->strict ? REPR_GEOMETRY : REPR_STRING;
    case TYPE_GEOGRAPHY: return o->strict ? REPR_GEOGRAPHY : REPR_STRING;
    case TYPE_VECTOR: return o->strict ? REPR_VECTOR : REPR_STRING;
    case TYPE_HALFVEC: return o->strict ? REPR_HALFVEC : REPR_STRING;
    case TYPE_SPARSEVEC: return o->strict ? REPR_SPARSEVEC : REPR_STRING;
    }
    return REPR_STRING;
}

/* Elements that Debezium's schema requires. */
static bool elements_required(enum type_kind kind)
{
    switch (kind) {
    case TYPE_ENUM: case TYPE_TSVECTOR: case TYPE_VECTOR: case TYPE_HALFVEC: case TYPE_SPARSEVEC: return true;
    default: return false;
    }
}

/* What travels as the text of the whole array: in sane, where no element is mapped either. */
static bool array_is_text(enum type_kind kind, bool strict)
{
    return kind == TYPE_OTHER || (!strict && kind >= TYPE_GEOMETRY);
}

struct codec codec_choose(const struct column *column, const struct envelope_options *o)
{
    struct codec c = {.strict = o->strict, .element_null = -1};
    c.repr = &repr_table[choose(column, o, &c)];
    c.array = column->array && !array_is_text(column->kind, o->strict);
    c.array = c.array && !(o->strict && column->kind == TYPE_BIT); /* Debezium: as if it were one */
    if (c.array && !(o->strict && elements_required(column->kind)))
        c.element_null = 0;
    return c;
}

/* Arrays of an extension's type itself. */
static bool is_known_array(struct str name)
{
    static const char *const names[] = {"_citext", "_isbn", "_geometry", "_geography", "_vector", "_halfvec", "_sparsevec"};
    for (size_t at = 0; at < sizeof names / sizeof *names; at++)
        if (str_is(name, names[at]))
            return true;
    return false;
}

/* Arrays of domains too, which resolve to a built-in kind here but not there. */
bool strict_omits(const struct column *column)
{
    bool array;
    if (column->kind == TYPE_OTHER)
        return true;
    if (!column->array)
        return false;
    switch (column->kind) {
    case TYPE_MONEY: case TYPE_INTERVAL: case TYPE_VARBIT: case TYPE_XML: case TYPE_POINT: return true;
    case TYPE_ENUM: case TYPE_LTREE: case TYPE_HSTORE: return false;
    default: break;
    }
    if (type_kind_of_oid(column->type_oid, &array) != TYPE_OTHER)
        return str_is(column->type_name, "_name");
    return str_starts(column->type_name, "_") && !is_known_array(column->type_name);
}

enum column_way envelope_column_way(const struct column *column, const struct envelope_options *o)
{
    if (o->strict)
        return strict_omits(column) ? COLUMN_LEFT_OUT : COLUMN_MAPPED;
    switch (column->kind) {
    case TYPE_OTHER: case TYPE_BIT: case TYPE_VARBIT: case TYPE_MONEY: case TYPE_POINT: case TYPE_GEOMETRY: case TYPE_GEOGRAPHY:
    case TYPE_VECTOR: case TYPE_HALFVEC: case TYPE_SPARSEVEC: return COLUMN_TEXT;
    case TYPE_HSTORE: return o->hstore == HSTORE_JSON || o->hstore == HSTORE_MAP ? COLUMN_MAPPED : COLUMN_TEXT;
    default: return COLUMN_MAPPED;
    }
}

void type_writer_reset(struct type_writer *w, size_t keep)
{
    struct buf *all[] = {&w->element, &w->digits, &w->text, &w->json, &w->again, &w->back.element, &w->back.digits};
    for (size_t at = 0; at < sizeof all / sizeof *all; at++) {
        if (all[at]->room > keep)
            buf_free(all[at]);
        buf_reset(all[at]);
    }
}

static bool check(struct type_writer *w, const struct codec *c, size_t begin, struct str text)
{
    if (c->trust == TRUST_CHECKED) {
        w->back.in = cursor_of((struct str){w->out->p + begin, w->out->len - begin});
        buf_reset(&w->again);
        if (w->out->over || !codec_read(&w->back, c, &w->again))
            return false;
    }
    w->inexact |= c->trust == TRUST_NEVER || !str_eq(buf_str(&w->again), text);
    return true;
}

bool codec_write(struct type_writer *w, const struct codec *c, struct str text)
{
    size_t begin = w->out->len;
    if (!(c->array ? write_array(w, c, text) : c->repr->write(w, c, text)))
        return false;
    return c->trust == TRUST_WRITER || check(w, c, begin, text);
}

bool codec_read(struct type_reader *r, const struct codec *c, struct buf *text)
{
    return c->array ? read_array(r, c, text) : c->repr->read(r, c, text);
}

struct str codec_zero(const struct codec *c)
{
    return c->array ? (struct str){"\0", 1} : c->repr->zero;
}
