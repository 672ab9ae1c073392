/* SPDX-License-Identifier: Apache-2.0
 *
 * Schema texts, property by property in the order in which Confluent's AvroData prints them, so
 * that a registry that already has Debezium's schema of a table sees the same text.
 *
 * The order on a type: scale, precision, connect.doc, connect.version, connect.parameters,
 * connect.default, connect.name, connect.type, logicalType. Properties sit on the branch of a
 * union, never on the union. A record that came before is its name only; its column's parameters
 * then sit on the field.
 */
#include "schemas/plan.h"

#define SOURCE_TEXT \
    "{\"type\":\"record\",\"name\":\"Source\",\"namespace\":\"io.debezium.connector.postgresql\"," \
    "\"fields\":[{\"name\":\"version\",\"type\":\"string\"},{\"name\":\"connector\",\"type\":\"string\"}," \
    "{\"name\":\"name\",\"type\":\"string\"},{\"name\":\"ts_ms\",\"type\":\"long\"},{\"name\":\"snapshot\"," \
    "\"type\":[{\"type\":\"string\",\"connect.version\":1,\"connect.parameters\":{\"allowed\":" \
    "\"true,first,first_in_data_collection,last_in_data_collection,last,false,incremental\"}," \
    "\"connect.default\":\"false\",\"connect.name\":\"io.debezium.data.Enum\"},\"null\"]," \
    "\"default\":\"false\"},{\"name\":\"db\",\"type\":\"string\"},{\"name\":\"sequence\"," \
    "\"type\":[\"null\",\"string\"],\"default\":null},{\"name\":\"ts_us\",\"type\":[\"null\",\"long\"]," \
    "\"default\":null},{\"name\":\"ts_ns\",\"type\":[\"null\",\"long\"],\"default\":null}," \
    "{\"name\":\"schema\",\"type\":\"string\"},{\"name\":\"table\",\"type\":\"string\"}," \
    "{\"name\":\"txId\",\"type\":[\"null\",\"long\"],\"default\":null},{\"name\":\"lsn\"," \
    "\"type\":[\"null\",\"long\"],\"default\":null},{\"name\":\"xmin\",\"type\":[\"null\",\"long\"]," \
    "\"default\":null},{\"name\":\"origin\",\"type\":[\"null\",\"string\"],\"default\":null}," \
    "{\"name\":\"origin_lsn\",\"type\":[\"null\",\"long\"],\"default\":null}],\"connect.version\":1," \
    "\"connect.name\":\"io.debezium.connector.postgresql.Source\"}"

#define TRANSACTION_TEXT \
    "{\"name\":\"transaction\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"block\"," \
    "\"namespace\":\"event\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"},{\"name\":\"total_order\"," \
    "\"type\":\"long\"},{\"name\":\"data_collection_order\",\"type\":\"long\"}],\"connect.version\":1," \
    "\"connect.name\":\"event.block\"}],\"default\":null}"

#define OPTIONAL_LONG(name) "{\"name\":\"" name "\",\"type\":[\"null\",\"long\"],\"default\":null}"

struct builder {
    struct buf *out;
    const struct plan *plan;
    bool seen[REPR_COUNT]; /* records that are already defined in this text */
};

/* ---- parameters ---- */

static void put_param(struct buf *out, const char *name, struct str value)
{
    buf_add_text(out, out->len ? ",\"" : "\"");
    buf_add_text(out, name);
    buf_add_text(out, "\":");
    buf_add_json(out, value);
}

static void put_int_param(struct buf *out, const char *name, int64_t value)
{
    char text[24];
    struct buf number = BUF_INIT;
    buf_addf(&number, "%lld", (long long) value);
    memcpy(text, number.p, number.len);
    put_param(out, name, (struct str){text, number.len});
    buf_free(&number);
}

/* Labels of a JSON array of strings joined by commas, as Debezium's "allowed" has them. */
static void put_allowed(struct buf *out, struct str labels)
{
    struct buf joined = BUF_INIT;
    bool quoted = false;
    for (size_t at = 0; at < labels.len; at++) {
        char c = labels.p[at];
        if (c == '"')
            quoted = !quoted;
        else if (quoted && c == '\\' && at + 1 < labels.len && memchr("\"\\/", labels.p[at + 1], 3))
            buf_add_char(&joined, labels.p[++at]);
        else if (quoted || c == ',')
            buf_add_char(&joined, c);
    }
    put_param(out, "allowed", buf_str(&joined));
    buf_free(&joined);
}

/* Those that belong to the representation itself. */
static void put_own_params(struct buf *out, const struct column_plan *p)
{
    if (repr_is_decimal(p->codec.repr)) {
        put_int_param(out, "scale", p->codec.scale);
        if (p->codec.precision)
            put_int_param(out, "connect.decimal.precision", p->codec.precision);
    } else if (p->codec.repr == &repr_table[REPR_BITS]) {
        put_int_param(out, "length", p->codec.scale);
    } else if (p->codec.repr == &repr_table[REPR_ENUM]) {
        put_allowed(out, p->column->enum_labels);
    }
}

/* The way Debezium's column.propagate.source.type names a type. */
static void put_source_params(struct buf *out, const struct column *c)
{
    int precision, scale;
    struct buf upper = BUF_INIT;
    for (size_t at = 0; at < c->type_name.len; at++) {
        char one = c->type_name.p[at];
        buf_add_char(&upper, one >= 'a' && one <= 'z' ? (char) (one - 32) : one);
    }
    put_param(out, "__debezium.source.column.type", buf_str(&upper));
    buf_free(&upper);
    if (c->kind == TYPE_NUMERIC && typmod_numeric(c->typmod, &precision, &scale)) {
        put_int_param(out, "__debezium.source.column.length", precision);
        put_int_param(out, "__debezium.source.column.scale", scale);
    } else if (c->kind == TYPE_TEXT && c->typmod >= 4) { /* varchar(n), char(n) */
        put_int_param(out, "__debezium.source.column.length", c->typmod - 4);
    } else if (c->kind >= TYPE_TIME && c->kind <= TYPE_TIMESTAMPTZ && c->typmod >= 0) {
        put_int_param(out, "__debezium.source.column.scale", c->typmod);
    }
    put_param(out, "__debezium.source.column.name", c->name);
}

/* What a reader needs to have the column again as it was. */
static void put_our_params(struct buf *out, const struct column_plan *p)
{
    const struct column *c = p->column;
    const char *form = binary_form_name(p->codec.repr);
    put_param(out, PARAM_COLUMN "type", c->type_sql);
    put_param(out, PARAM_COLUMN "type_name", c->type_name);
    put_param(out, PARAM_COLUMN "kind", str_of(type_kind_name(c->kind)));
    if (c->array)
        put_param(out, PARAM_COLUMN "array", STR("true"));
    if (form)
        put_param(out, PARAM_COLUMN "form", str_of(form));
    if (c->typmod != -1)
        put_int_param(out, PARAM_COLUMN "typmod", c->typmod);
    put_int_param(out, PARAM_COLUMN "oid", c->type_oid);
    if (c->not_null)
        put_param(out, PARAM_COLUMN "not_null", STR("true"));
    if (c->identity)
        put_param(out, PARAM_COLUMN "identity", STR("true"));
    if (c->generated)
        put_param(out, PARAM_COLUMN "generated", STR("true"));
    if (c->key_position)
        put_int_param(out, PARAM_COLUMN "key", c->key_position);
    if (c->enum_labels.len)
        put_param(out, PARAM_COLUMN "labels", c->enum_labels);
    if (c->default_sql.len)
        put_param(out, PARAM_COLUMN "default", c->default_sql);
    if (c->attnum)
        put_int_param(out, PARAM_COLUMN "attnum", c->attnum);
    if (c->has_missing)
        put_param(out, PARAM_COLUMN "missing", c->missing);
}

static void put_column_params(const struct builder *b, struct buf *out, const struct column_plan *p)
{
    if (b->plan->options->strict)
        return;
    put_source_params(out, p->column);
    put_our_params(out, p);
}

static void put_params(struct buf *out, const struct buf *params)
{
    if (params->len)
        buf_addf(out, ",\"connect.parameters\":{%s}", params->p);
}

/* ---- types ---- */

/* Avro's name for a type that is Kafka Connect's own. */
static const char *logical_type(const struct repr *repr)
{
    if (repr_is_decimal(repr))
        return "decimal";
    if (repr == &repr_table[REPR_CONNECT_DATE])
        return "date";
    if (repr == &repr_table[REPR_CONNECT_TIME])
        return "time-millis";
    return repr == &repr_table[REPR_CONNECT_TIMESTAMP] ? "timestamp-millis" : NULL;
}

#define RECORD(name, space, fields) \
    "{\"type\":\"record\",\"name\":\"" name "\",\"namespace\":\"io.debezium.data" space "\",\"fields\":[" fields "]"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define OPTIONAL_FIELD(name, type) "{\"name\":\"" name "\",\"type\":[\"null\",\"" type "\"],\"default\":null}"
#define INT16 "{\"type\":\"int\",\"connect.type\":\"int16\"}"
#define EWKB_FIELDS FIELD("wkb", "\"bytes\"") "," OPTIONAL_FIELD("srid", "int")
/* Kafka Connect's form of a map whose keys are no strings. */
#define MAP_ENTRIES \
    "{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"MapEntry\",\"namespace\":" \
    "\"io.confluent.connect.avro\",\"fields\":[" FIELD("key", INT16) "," FIELD("value", "\"double\"") "]}}"

/* The types that have parts: what is in front of their properties, and their documentation. */
static const struct compound {
    enum repr_id id;
    const char *head, *doc;
} compounds[] = {
    {REPR_VARIABLE, RECORD("VariableScaleDecimal", "", FIELD("scale", "\"int\"") "," FIELD("value", "\"bytes\"")),
     "Variable scaled decimal"},
    {REPR_POINT, RECORD("Point", ".geometry", FIELD("x", "\"double\"") "," FIELD("y", "\"double\"") ","
                        OPTIONAL_FIELD("wkb", "bytes") "," OPTIONAL_FIELD("srid", "int")), "Geometry (POINT)"},
    {REPR_GEOMETRY, RECORD("Geometry", ".geometry", EWKB_FIELDS), "Geometry"},
    {REPR_GEOGRAPHY, RECORD("Geography", ".geometry", EWKB_FIELDS), "Geography"},
    {REPR_SPARSEVEC, RECORD("SparseDoubleVector", "", FIELD("dimensions", INT16) "," FIELD("vector", MAP_ENTRIES)),
     "Sparse double vector"},
    {REPR_VECTOR, "{\"type\":\"array\",\"items\":\"double\"", NULL},
    {REPR_HALFVEC, "{\"type\":\"array\",\"items\":\"float\"", NULL},
    {REPR_HSTORE_MAP, "{\"type\":\"map\",\"values\":[\"null\",\"string\"]", NULL},
};

static const struct compound *compound_of(const struct repr *repr)
{
    for (size_t at = 0; at < sizeof compounds / sizeof *compounds; at++)
        if (repr == &repr_table[compounds[at].id])
            return &compounds[at];
    return NULL;
}

/* Properties behind "type", "items" or "fields"; nothing for a plain type. */
static void put_props(struct buf *out, const struct column_plan *p, const struct buf *params,
                      bool item)
{
    const struct repr *repr = p->codec.repr;
    const struct compound *compound = compound_of(repr);
    if (compound && compound->doc)
        buf_addf(out, ",\"connect.doc\":\"%s\"", compound->doc);
    if (repr->connect_name)
        buf_add_text(out, ",\"connect.version\":1");
    put_params(out, params);
    if (p->standard.len && !item)
        buf_addf(out, ",\"connect.default\":%s", p->standard.p);
    if (repr->connect_name)
        buf_addf(out, ",\"connect.name\":\"%s\"", repr->connect_name);
    if (repr->connect_type)
        buf_addf(out, ",\"connect.type\":\"%s\"", repr->connect_type);
    const char *logical = logical_type(repr);
    if (logical)
        buf_addf(out, ",\"logicalType\":\"%s\"", logical);
}

/* The type of one value: a column's, or an array's element. True when it was a name only, so that
 * params found no place. */
static bool put_value_type(struct builder *b, const struct column_plan *p, const struct buf *params,
                           bool item)
{
    const struct repr *repr = p->codec.repr;
    struct buf props = BUF_INIT;
    const struct compound *compound = compound_of(repr);
    bool record = strcmp(repr->avro, "record") == 0;
    bool *seen = &b->seen[repr - repr_table];
    if (record && *seen) {
        buf_addf(b->out, "\"%s\"", repr->connect_name);
        return true;
    }
    put_props(&props, p, params, item);
    if (compound) {
        buf_add_text(b->out, compound->head);
        *seen = record;
    } else if (props.len) {
        buf_addf(b->out, "{\"type\":\"%s\"", repr->avro);
    } else {
        buf_addf(b->out, "\"%s\"", repr->avro);
    }
    if (repr_is_decimal(repr))
        buf_addf(b->out, ",\"scale\":%d,\"precision\":%d", p->codec.scale, p->codec.precision ? p->codec.precision : 64);
    if (props.len || compound) {
        buf_add_str(b->out, buf_str(&props));
        buf_add_char(b->out, '}');
    }
    buf_free(&props);
    return false;
}

static void put_array_type(struct builder *b, const struct column_plan *p, const struct buf *params)
{
    struct buf own = BUF_INIT;
    bool optional = p->codec.element_null >= 0;
    put_own_params(&own, p);
    buf_add_text(b->out, "{\"type\":\"array\",\"items\":");
    if (optional)
        buf_add_text(b->out, "[\"null\",");
    (void) put_value_type(b, p, &own, true);
    if (optional)
        buf_add_char(b->out, ']');
    put_params(b->out, params);
    buf_add_char(b->out, '}');
    buf_free(&own);
}

static bool put_type(struct builder *b, const struct column_plan *p, const struct buf *params)
{
    if (!p->codec.array)
        return put_value_type(b, p, params, false);
    put_array_type(b, p, params);
    return false;
}

/* A field of Key or Value. */
static void put_field(struct builder *b, const struct column_plan *p, bool required)
{
    struct buf params = BUF_INIT;
    if (!p->codec.array)
        put_own_params(&params, p);
    put_column_params(b, &params, p);
    buf_add_text(b->out, "{\"name\":\"");
    buf_add_str(b->out, p->field);
    buf_add_text(b->out, "\",\"type\":");
    if (!required)
        buf_add_text(b->out, p->standard.len ? "[" : "[\"null\",");
    bool reference = put_type(b, p, &params);
    if (!required)
        buf_add_text(b->out, p->standard.len ? ",\"null\"]" : "]");
    if (p->standard.len)
        buf_addf(b->out, ",\"default\":%s", p->standard.p);
    else if (!required)
        buf_add_text(b->out, ",\"default\":null");
    if (reference)
        put_params(b->out, &params);
    buf_add_char(b->out, '}');
    buf_free(&params);
}

/* ---- records ---- */

static void put_head(struct builder *b, const char *name, bool space)
{
    buf_addf(b->out, "{\"type\":\"record\",\"name\":\"%s\"", name);
    if (space)
        buf_addf(b->out, ",\"namespace\":\"%.*s\"", STR_ARG(b->plan->names));
    buf_add_text(b->out, ",\"fields\":[");
}

/* Fields of columns, separated; those that strict leaves out are not there. */
static void put_one(struct builder *b, const struct column_plan *p, bool required, bool *first)
{
    if (p->omitted)
        return;
    if (!*first)
        buf_add_char(b->out, ',');
    *first = false;
    put_field(b, p, required);
}

static void put_tail(struct builder *b, const char *name)
{
    buf_addf(b->out, "\"connect.name\":\"%.*s.%s\"}", STR_ARG(b->plan->names), name);
}

void schema_build_key(const struct plan *plan, struct buf *out)
{
    struct builder b = {.out = out, .plan = plan};
    bool first = true;
    put_head(&b, "Key", true);
    for (int at = 0; at < plan->key_count; at++) {
        const struct column_plan *p = &plan->columns[plan->key_columns[at]];
        put_one(&b, p, p->key_required, &first);
    }
    buf_add_text(out, "],");
    put_tail(&b, "Key");
}

static void put_table_params(struct builder *b)
{
    const struct relation *rel = b->plan->rel;
    struct buf params = BUF_INIT;
    if (!b->plan->options->strict) {
        put_param(&params, PARAM_TABLE "schema", rel->space);
        put_param(&params, PARAM_TABLE "name", rel->name);
        put_int_param(&params, PARAM_TABLE "oid", rel->oid);
        if (rel->identity)
            put_param(&params, PARAM_TABLE "identity", (struct str){&rel->identity, 1});
        if (rel->left_out.len)
            put_param(&params, PARAM_TABLE "left_out", rel->left_out);
        buf_addf(b->out, "\"connect.parameters\":{%s},", params.p);
    }
    buf_free(&params);
}

void schema_build_value(const struct plan *plan, struct buf *out)
{
    struct builder b = {.out = out, .plan = plan};
    put_head(&b, "Envelope", true);
    buf_add_text(out, "{\"name\":\"before\",\"type\":[\"null\",");
    bool first = true;
    put_head(&b, "Value", false);
    for (int at = 0; at < plan->rel->column_count; at++)
        put_one(&b, &plan->columns[at], plan->columns[at].required, &first);
    buf_add_text(out, "],");
    put_table_params(&b);
    put_tail(&b, "Value");
    buf_add_text(out, "],\"default\":null},{\"name\":\"after\",\"type\":[\"null\",\"Value\"],"
                      "\"default\":null},{\"name\":\"source\",\"type\":" SOURCE_TEXT "}," TRANSACTION_TEXT
                      ",{\"name\":\"op\",\"type\":\"string\"}," OPTIONAL_LONG("ts_ms") ","
                      OPTIONAL_LONG("ts_us") "," OPTIONAL_LONG("ts_ns") "],\"connect.version\":2,");
    put_tail(&b, "Envelope");
}

#define MESSAGE_NAME "io.debezium.connector.postgresql."
#define OPTIONAL_PREFIX "{\"name\":\"prefix\",\"type\":[\"null\",\"string\"],\"default\":null}"

void schema_build_message_key(struct buf *out)
{
    buf_add_text(out, "{\"type\":\"record\",\"name\":\"MessageKey\",\"namespace\":"
                      "\"io.debezium.connector.postgresql\",\"fields\":[" OPTIONAL_PREFIX
                      "],\"connect.version\":1,\"connect.name\":\"" MESSAGE_NAME "MessageKey\"}");
}

void schema_build_message_value(struct buf *out)
{
    static const char space[] = ",\"namespace\":\"io.debezium.connector.postgresql\"";
    struct str source = STR(SOURCE_TEXT);
    const char *at = strstr(source.p, space); /* the namespace is that of the enclosing record */
    buf_add_text(out, "{\"type\":\"record\",\"name\":\"MessageValue\"");
    buf_add_text(out, space);
    buf_add_text(out, ",\"fields\":[{\"name\":\"op\",\"type\":\"string\"}," OPTIONAL_LONG("ts_ms")
                      ",{\"name\":\"source\",\"type\":");
    buf_add(out, source.p, (size_t) (at - source.p));
    buf_add_text(out, at + sizeof space - 1);
    buf_add_text(out, "}," TRANSACTION_TEXT ",{\"name\":\"message\",\"type\":{\"type\":\"record\","
                      "\"name\":\"Message\",\"fields\":[" OPTIONAL_PREFIX ",{\"name\":\"content\",\"type\":"
                      "[\"null\",\"bytes\"],\"default\":null}],\"connect.version\":1,\"connect.name\":\""
                      MESSAGE_NAME "Message\"}}],\"connect.version\":1,\"connect.name\":\"" MESSAGE_NAME
                      "MessageValue\"}");
}

#define METADATA_NAME "io.debezium.connector.common."

void schema_build_transaction_key(struct buf *out)
{
    buf_add_text(out, "{\"type\":\"record\",\"name\":\"TransactionMetadataKey\",\"namespace\":"
                      "\"io.debezium.connector.common\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"}],"
                      "\"connect.version\":1,\"connect.name\":\"" METADATA_NAME "TransactionMetadataKey\"}");
}

void schema_build_transaction_value(struct buf *out)
{
    buf_add_text(out, "{\"type\":\"record\",\"name\":\"TransactionMetadataValue\",\"namespace\":"
                      "\"io.debezium.connector.common\",\"fields\":[{\"name\":\"status\",\"type\":\"string\"},"
                      "{\"name\":\"id\",\"type\":\"string\"}," OPTIONAL_LONG("event_count") ","
                      "{\"name\":\"data_collections\",\"type\":[\"null\",{\"type\":\"array\",\"items\":"
                      "[\"null\",{\"type\":\"record\",\"name\":\"collection\",\"namespace\":\"event\",\"fields\":["
                      "{\"name\":\"data_collection\",\"type\":\"string\"},{\"name\":\"event_count\",\"type\":\"long\"}],"
                      "\"connect.version\":1,\"connect.name\":\"event.collection\"}]}],\"default\":null},"
                      "{\"name\":\"ts_ms\",\"type\":\"long\"}],\"connect.version\":1,"
                      "\"connect.name\":\"" METADATA_NAME "TransactionMetadataValue\"}");
}

int envelope_schema_texts(const struct envelope_options *o, const struct relation *rel, struct arena *a,
                          struct str *key, struct str *value, struct err *e)
{
    struct plan plan;
    struct buf text = BUF_INIT;
    if (plan_make(a, rel, o, &plan, e))
        return -1;
    *key = STR_NONE;
    if (plan.key_count) {
        schema_build_key(&plan, &text);
        *key = arena_str(a, buf_str(&text));
    }
    buf_reset(&text);
    schema_build_value(&plan, &text);
    *value = arena_str(a, buf_str(&text));
    bool over = text.over;
    buf_free(&text);
    return over ? err_set(e, E_SCHEMA, "schema of %.*s.%.*s is too large", STR_ARG(rel->space),
                          STR_ARG(rel->name)) : 0;
}
