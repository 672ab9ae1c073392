/* SPDX-License-Identifier: Apache-2.0
 *
 * Making a plan. What a column writes when it has no value of its own is encoded here once.
 *
 * Nullability. An event may lack columns: the old row of an update or delete has only the identity
 * columns. In strict those are filled as Debezium does, and a reader cannot tell; in sane every
 * column that is not both NOT NULL and part of the identity is a union with null in Value, absent
 * ones are null and HEADER_ABSENT says so. NOT NULL itself travels as a parameter.
 */
#include <openssl/evp.h>

#include "schemas/plan.h"

struct str plan_placeholder(const struct envelope_options *o)
{
    return o->placeholder.len ? o->placeholder : STR("__debezium_unavailable_value");
}

static struct str keep(struct arena *a, const struct type_writer *w)
{
    return arena_str(a, buf_str(w->out));
}

/* ---- the default, in strict ---- */

/* One Avro value of a primitive type as JSON, as a schema's "default" has it. */
static void put_json(struct buf *out, const char *avro, struct str bytes)
{
    struct cursor in = cursor_of(bytes);
    if (!strcmp(avro, "boolean")) {
        buf_add_text(out, avro_get_bool(&in) ? "true" : "false");
    } else if (!strcmp(avro, "int") || !strcmp(avro, "long")) {
        buf_addf(out, "%lld", (long long) avro_get_long(&in));
    } else if (!strcmp(avro, "string")) {
        buf_add_json(out, avro_get_bytes(&in));
    } else if (!strcmp(avro, "bytes")) { /* each byte one character of ISO 8859-1 */
        struct str raw = avro_get_bytes(&in);
        struct buf text = BUF_INIT;
        for (size_t at = 0; at < raw.len; at++) {
            uint8_t byte = (uint8_t) raw.p[at];
            if (byte >= 0x80)
                buf_add_char(&text, (char) (0xc0 | byte >> 6));
            buf_add_char(&text, (char) (byte >= 0x80 ? 0x80 | (byte & 0x3f) : byte));
        }
        buf_add_json(out, buf_str(&text));
        buf_free(&text);
    } else {
        bool single = !strcmp(avro, "float");
        size_t begin = out->len;
        put_float_text(out, single ? (double) avro_get_float(&in) : avro_get_double(&in), single);
        if (!strpbrk(out->p + begin, ".eN"))
            buf_add_text(out, ".0");
    }
}

/* A number of a column with a scale, as PostgreSQL would print it there. */
static struct str rescaled(struct arena *a, const struct column_plan *p, struct str text)
{
    bool number = p->column->kind == TYPE_NUMERIC || p->column->kind == TYPE_MONEY;
    return number ? schema_rescale(a, text, p->codec.scale) : text;
}

static void plan_default(struct arena *a, struct column_plan *p, struct type_writer *w)
{
    struct str text;
    if (!p->codec.strict || p->codec.repr == &repr_table[REPR_VARIABLE]
        || !schema_default(a, p->column, &text))
        return;
    text = rescaled(a, p, text);
    buf_reset(w->out);
    buf_add_char(w->out, 0); /* the branch of the default stands first */
    if (!codec_write(w, &p->codec, text))
        return;
    struct buf json = BUF_INIT;
    put_json(&json, p->codec.repr->avro, (struct str){w->out->p + 1, w->out->len - 1});
    if (!strpbrk(json.p, "NI") || json.p[0] == '"') /* NaN and Infinity are no JSON */
        p->standard = arena_str(a, buf_str(&json));
    if (p->standard.len)
        p->null = keep(a, w);
    buf_free(&json);
}

/* ---- what stands for a value ---- */

/* The NOT NULL column that an old row lacks, as Debezium fills it: default, else a constant. */
static bool write_fallback(struct arena *a, const struct column_plan *p, struct type_writer *w)
{
    struct str text;
    if (p->codec.array)
        return false;
    if (!p->standard.len || !schema_default(a, p->column, &text))
        text = p->codec.repr->fallback;
    text = rescaled(a, p, text);
    struct codec constant = p->codec;
    if (!p->standard.len && constant.repr == &repr_table[REPR_ZONED_TIMESTAMP])
        constant.scale = 0;
    return codec_write(w, &constant, text);
}

static void plan_absent(struct arena *a, struct column_plan *p, struct type_writer *w)
{
    bool filled = p->codec.strict && p->column->not_null;
    buf_reset(w->out);
    if (!p->required)
        buf_add_str(w->out, filled ? (struct str){(const char *) &p->set_branch, 1} : p->null);
    if (!filled ? p->required : !write_fallback(a, p, w)) {
        w->out->len = !p->required;
        buf_add_str(w->out, p->zero);
    }
    p->absent = keep(a, w);
}

/* java.util.UUID.nameUUIDFromBytes: MD5 with version 3 and the variant set. */
static bool placeholder_uuid(struct str name, char out[37])
{
    uint8_t md[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!EVP_Digest(name.p, name.len, md, &len, EVP_md5(), NULL) || len != 16)
        return false;
    md[6] = (uint8_t) ((md[6] & 0x0f) | 0x30);
    md[8] = (uint8_t) ((md[8] & 0x3f) | 0x80);
    char *at = out;
    for (int byte = 0; byte < 16; byte++) {
        if (byte == 4 || byte == 6 || byte == 8 || byte == 10)
            *at++ = '-';
        *at++ = "0123456789abcdef"[md[byte] >> 4];
        *at++ = "0123456789abcdef"[md[byte] & 15];
    }
    *at = 0;
    return true;
}

static void put_branch(struct type_writer *w, const struct codec *c)
{
    if (c->element_null >= 0)
        avro_put_long(w->out, !c->element_null);
}

/* The element's bytes are those of the placeholder, or one of its bytes each. Other forms of date and bytea are none
 * that Debezium's own placeholder fits, nor ours. */
static bool fits_placeholder(const struct column_plan *p, bool bytewise)
{
    const struct repr *repr = p->codec.repr;
    if (bytewise)
        return repr->write == write_int4 || repr->write == write_int8 || repr == &repr_table[REPR_DATE];
    return p->column->kind != TYPE_BYTEA || repr == &repr_table[REPR_BYTES];
}

/* Arrays that can hold the placeholder, one element or, for integers, its bytes. */
static bool write_placeholder_array(struct type_writer *w, const struct column_plan *p,
                                    struct str placeholder)
{
    char uuid[37];
    enum type_kind kind = p->column->kind;
    bool bytewise = kind == TYPE_INT4 || kind == TYPE_DATE || kind == TYPE_INT8;
    if (kind == TYPE_UUID && placeholder_uuid(placeholder, uuid))
        placeholder = (struct str){uuid, 36};
    else if (kind != TYPE_TEXT && kind != TYPE_JSON && kind != TYPE_BYTEA && !bytewise)
        return false;
    if (!fits_placeholder(p, bytewise))
        return false;
    avro_put_long(w->out, bytewise ? (int64_t) placeholder.len : 1);
    for (size_t at = 0; bytewise && at < placeholder.len; at++) {
        put_branch(w, &p->codec);
        avro_put_long(w->out, (int8_t) placeholder.p[at]);
    }
    if (!bytewise) {
        put_branch(w, &p->codec);
        avro_put_bytes(w->out, placeholder);
    }
    avro_put_long(w->out, 0);
    return true;
}

/* The placeholder in a column that is no array; false when its type cannot hold it. */
static bool write_placeholder(struct arena *a, struct type_writer *w, const struct column_plan *p,
                              struct str placeholder)
{
    const struct repr *repr = p->codec.repr;
    if (repr == &repr_table[REPR_HSTORE])
        placeholder = arena_printf(a, "{\"%.*s\":\"%.*s\"}", STR_ARG(placeholder), STR_ARG(placeholder));
    if (repr == &repr_table[REPR_HSTORE_MAP]) {
        avro_put_long(w->out, 1);
        avro_put_bytes(w->out, placeholder);
        avro_put_long(w->out, 1);
        avro_put_bytes(w->out, placeholder);
        avro_put_long(w->out, 0);
        return true;
    }
    if (repr->write != write_string && repr->write != write_numeric_string && repr->write != write_bytes
        && repr->write != write_hex && repr != &repr_table[REPR_HSTORE])
        return false;
    avro_put_bytes(w->out, placeholder);
    return true;
}

static void plan_unchanged(struct arena *a, struct column_plan *p, struct type_writer *w,
                           struct str placeholder)
{
    const struct repr *repr = p->codec.repr;
    bool base64 = repr == &repr_table[REPR_BASE64] || repr == &repr_table[REPR_BASE64_URL];
    buf_reset(w->out);
    if (((base64 && !p->codec.array) || repr_is_extension(repr)) && !p->required) { /* as Debezium, since the placeholder is none */
        p->unchanged = p->null;
        return;
    }
    if (!p->required)
        buf_add_char(w->out, (char) p->set_branch);
    if (p->codec.array ? !write_placeholder_array(w, p, placeholder) : !write_placeholder(a, w, p, placeholder))
        buf_add_str(w->out, p->zero);
    p->unchanged = keep(a, w);
}

/* A value that the type cannot hold: the empty one, or, where Debezium has NULL for a moment outside its nanoseconds and
 * for what it fails to convert, that. */
static void plan_refused(struct arena *a, struct column_plan *p, struct type_writer *w)
{
    buf_reset(w->out);
    if (!p->required)
        buf_add_char(w->out, (char) p->set_branch);
    buf_add_str(w->out, p->zero);
    bool moment = p->codec.strict && !p->codec.array && p->codec.repr == &repr_table[REPR_TIMESTAMP_NS];
    bool null = !p->required && (moment || repr_is_extension(p->codec.repr));
    p->refused = null ? p->null : keep(a, w);
}

/* ---- columns and key ---- */

/* Debezium's schema of a geometry is optional by itself, whatever the column says. */
static bool always_optional(const struct codec *c)
{
    return !c->array && c->repr == &repr_table[REPR_GEOMETRY];
}

static void plan_column(struct arena *a, const struct column *column,
                        const struct envelope_options *o, struct column_plan *p)
{
    struct buf out = BUF_INIT;
    struct type_writer w = {.out = &out};
    p->column = column;
    p->field = schema_name(a, column->name, false);
    p->listed = o->strict ? p->field : column->name;
    p->codec = codec_choose(column, o);
    p->omitted = o->strict && strict_omits(column);
    p->unstreamed = o->strict && str_is(column->type_name, "name");
    p->key_required = column->not_null && !always_optional(&p->codec);
    p->required = p->key_required && (o->strict || column->identity);
    p->zero = codec_zero(&p->codec);
    plan_default(a, p, &w);
    p->null_branch = p->standard.len ? 2 : 0;
    if (!p->null.len)
        p->null = STR("\0");
    p->set_branch = p->standard.len ? 0 : 2;
    plan_absent(a, p, &w);
    plan_unchanged(a, p, &w, plan_placeholder(o));
    plan_refused(a, p, &w);
    buf_free(&out);
    type_writer_reset(&w, 0);
}

static int check_names(const struct plan *plan, struct err *e)
{
    for (int at = 0; at < plan->rel->column_count; at++)
        for (int before = 0; before < at; before++) {
            const struct column_plan *a = &plan->columns[before], *b = &plan->columns[at];
            if (str_eq(a->field, b->field))
                return err_set(e, E_CONFIG,
                               "columns \"%.*s\" and \"%.*s\" of %.*s.%.*s get the same Avro name %.*s",
                               STR_ARG(a->column->name), STR_ARG(b->column->name),
                               STR_ARG(plan->rel->space), STR_ARG(plan->rel->name), STR_ARG(a->field));
        }
    return 0;
}

static int plan_key(struct arena *a, struct plan *plan, struct err *e)
{
    const struct relation *rel = plan->rel;
    plan->key_columns = arena_zalloc(a, (size_t) rel->key_count + 1, sizeof *plan->key_columns);
    for (int position = 1; position <= rel->key_count; position++) {
        int found = -1;
        for (int at = 0; at < rel->column_count && found < 0; at++)
            if (rel->columns[at].key_position == position)
                found = at;
        if (found < 0)
            return err_set(e, E_SCHEMA, "key column %d of %.*s.%.*s is not among its columns", position,
                           STR_ARG(rel->space), STR_ARG(rel->name));
        if (!plan->columns[found].omitted)
            plan->key_columns[plan->key_count++] = found;
    }
    return 0;
}

int plan_make(struct arena *a, const struct relation *rel, const struct envelope_options *o,
              struct plan *plan, struct err *e)
{
    *plan = (struct plan){.rel = rel, .options = o};
    plan->topic = envelope_topic(a, o->prefix, rel->space, rel->name);
    plan->names = schema_name(a, plan->topic, true);
    plan->columns = arena_zalloc(a, (size_t) rel->column_count + 1, sizeof *plan->columns);
    for (int at = 0; at < rel->column_count; at++)
        plan_column(a, &rel->columns[at], o, &plan->columns[at]);
    return check_names(plan, e) || plan_key(a, plan, e) ? -1 : 0;
}
