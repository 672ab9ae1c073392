/* SPDX-License-Identifier: Apache-2.0
 *
 * Types: one PostgreSQL value as text to Avro bytes and back.
 *
 * A repr is one way to hold a value in Avro (a row of the table in types.c: Avro type, Connect
 * name, a writer, a reader). A codec is a repr with the facts of one column. Which repr a column
 * gets is decided once per relation version (codec_choose) or once per schema text (codec_of_node,
 * schema_relation.c), never per row. Internal to schemas/.
 *
 * A writer that cannot hold a text exactly returns false and the caller takes back what it wrote:
 * the value then travels in a header. A reader that meets bytes no writer makes returns false.
 */
#ifndef TR_SCHEMAS_TYPES_H
#define TR_SCHEMAS_TYPES_H

#include "schemas/avro.h"
#include "schemas/envelope.h"

/* Debezium's numbers for a timestamp of plus and minus infinity, in microseconds. */
#define TIMESTAMP_INFINITY INT64_C(9223372036825200000)
#define TIMESTAMP_MINUS_INFINITY INT64_C(-9223372036832400000)
/* Its days for a date of plus and minus infinity: negative and adjacent, kept for strict only. */
#define STRICT_DATE_INFINITY (-2147472692)
#define STRICT_DATE_MINUS_INFINITY (-2147472691)
/* Digits of a bit string that a reader takes: PostgreSQL's BITMAXLEN (a tenth of it). */
#define BITS_MAX 8388608
/* Bytes of an unscaled integer a reader takes: PostgreSQL's numeric has at most 147,456 digits. */
#define DECIMAL_MAX_BYTES 65536
/* More digits behind the point than PostgreSQL ever prints (16,383). */
#define DECIMAL_MAX_SCALE 20000
/* Pairs of an hstore in a map or JSON; one with more is told in a header. */
#define HSTORE_MAX_PAIRS (1u << 22)

struct type_reader {
    struct cursor in;
    struct buf element;
    struct buf digits; /* limbs of a long number, pairs of an hstore, bytes of base64 */
    bool stand_in; /* met a Decimal of no bytes, or a text that no value has: right only when a header holds the value */
};

/* Memory of a writer, kept between rows. */
struct type_writer {
    struct buf *out;
    struct buf element; /* unescaped array element */
    struct buf digits;  /* limbs of a long number, pairs of an hstore */
    struct buf text, json; /* hstore; text also: the bytes of base64 */
    struct type_reader back; /* what was written, read again; and its text */
    struct buf again;
    bool inexact;       /* what was written stands for the value but does not give its text back */
};

struct codec;

struct repr {
    const char *avro;         /* "int", "string", ...; "record", "array" and "map" for types with parts */
    const char *connect_name; /* NULL: a plain type */
    const char *connect_type; /* NULL, or Connect's narrower integer */
    bool (*write)(struct type_writer *w, const struct codec *c, struct str text);
    bool (*read)(struct type_reader *r, const struct codec *c, struct buf *text);
    struct str zero;          /* Avro bytes of an empty value; stands where a header has the value */
    struct str fallback;      /* text that Debezium writes for an old NOT NULL column it lacks */
};

enum repr_id {
    REPR_BOOL, REPR_INT2, REPR_INT4, REPR_INT8, REPR_OID, REPR_FLOAT4, REPR_FLOAT8,
    REPR_DECIMAL, REPR_VARIABLE, REPR_NUMERIC_DOUBLE, REPR_STRING, REPR_JSON, REPR_UUID, REPR_ENUM,
    REPR_BYTES, REPR_DATE, REPR_TIME_MS, REPR_TIME_US, REPR_TIMESTAMP_MS, REPR_TIMESTAMP_US,
    REPR_ZONED_TIMESTAMP, REPR_ZONED_TIME, REPR_DURATION, REPR_BIT, REPR_BITS, REPR_MONEY, REPR_XML, REPR_TSVECTOR,
    REPR_LTREE, REPR_HSTORE, REPR_POINT,
    REPR_TIME_NS, REPR_TIMESTAMP_NS, REPR_CONNECT_DATE, REPR_CONNECT_TIME, REPR_CONNECT_TIMESTAMP,
    REPR_ISO_DATE, REPR_ISO_TIME, REPR_ISO_TIMESTAMP, REPR_ISO_INTERVAL,
    REPR_BASE64, REPR_BASE64_URL, REPR_HEX, REPR_HSTORE_MAP, REPR_NUMERIC_STRING, REPR_MONEY_DOUBLE,
    REPR_MONEY_STRING, REPR_GEOMETRY, REPR_GEOGRAPHY, REPR_VECTOR, REPR_HALFVEC, REPR_SPARSEVEC,
    REPR_COUNT
};

extern const struct repr repr_table[REPR_COUNT];

/* Whether the bytes of a form give the text back. */
enum trust {
    TRUST_WRITER,  /* always, or the writer says when they do not */
    TRUST_CHECKED, /* what was written is read back and compared, value by value */
    TRUST_NEVER,   /* a reader cannot know what they are */
};

struct codec {
    const struct repr *repr; /* of the element when array */
    int scale;      /* decimals: digits behind the point; -1 unknown. Times: fraction digits, 0 to 6.
                     * Bit strings: length */
    int precision;  /* decimals: digits in all; 0 unknown */
    bool strict;
    enum trust trust;
    bool array;
    int element_null; /* array: index of null in the element's union; -1 when it is no union */
};

/* The codec of a column under these options. */
struct codec codec_choose(const struct column *column, const struct envelope_options *o);
/* Debezium leaves the column out of its events: a type that it has no converter for. */
bool strict_omits(const struct column *column);
bool repr_is_decimal(const struct repr *repr);
/* A type of PostGIS or pgvector. Debezium has null for a value of these that it does not have or cannot convert. */
bool repr_is_extension(const struct repr *repr);
/* A form of bytea that is a plain string in a schema, by the name that it has in a parameter; REPR_COUNT when it is none. */
enum repr_id binary_form_find(struct str name);
/* That name; NULL for other representations. */
const char *binary_form_name(const struct repr *repr);

/* Forget the contents of a writer's memory; what is larger than keep is given back, with keep 0 all. */
void type_writer_reset(struct type_writer *w, size_t keep);

/* A SET value; false when the type cannot hold it exactly (or at all): take back what was written. */
bool codec_write(struct type_writer *w, const struct codec *c, struct str text);
/* The text of a value, appended; false when malformed. */
bool codec_read(struct type_reader *r, const struct codec *c, struct buf *text);
/* Avro bytes of an empty value of the whole type. */
struct str codec_zero(const struct codec *c);

/* numeric's typmod taken apart; false when it has none. */
bool typmod_numeric(int32_t typmod, int *precision, int *scale);
/* Name of a kind as it travels in a schema: "numeric". The reverse gives TYPE_OTHER when unknown. */
const char *type_kind_name(enum type_kind kind);
enum type_kind type_kind_find(struct str name);

/* ---- shared by the files of types_*.c ---- */

/* A number's decimal digits, filled up with zeros in front to width (at most 20); the second with
 * its sign. They stand in for printf where every row passes. */
void put_digits(struct buf *text, uint64_t value, int width);
void put_signed(struct buf *text, int64_t value);
/* Whole text as a double or float, correctly rounded, PostgreSQL's NaN and Infinity included. */
bool text_to_double(struct str text, double *out);
bool text_to_float(struct str text, float *out);
/* PostgreSQL's own shortest text of a float8 (or, single, of a float4), appended. */
void put_float_text(struct buf *text, double value, bool single);
/* The same number in plain notation; scale >= 0 prints exactly so many digits behind the point. */
void put_plain_text(struct buf *text, double value, int scale);
/* An unscaled big-endian integer and its scale as plain text; false when out of bounds. */
bool put_decimal_text(struct buf *digits, struct str unscaled, int scale, struct buf *text);
/* Digits at the front of s, at least low and at most high of them; -1 when there are fewer. */
int64_t take_number(struct str *s, size_t low, size_t high);
/* c at the front of s, which is passed over. */
bool take_char(struct str *s, char c);
/* SS[.ffffff] at the front of s, and how many digits stood behind the point. */
bool take_seconds(struct str *s, int64_t *us, int *digits);
/* HH:MM:SS and a fraction: digits < 0 prints as many as are needed, else exactly so many. */
void put_clock(struct buf *text, int64_t us, int digits);
/* Bytes in base64, filled up with '='. */
void put_base64(struct buf *out, struct str bytes);

/* The writers and readers of repr_table, as struct repr says: a writer appends Avro bytes, a reader
 * appends PostgreSQL text; false as said at the head of this file. */
bool write_bool(struct type_writer *w, const struct codec *c, struct str text);
bool read_bool(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_int2(struct type_writer *w, const struct codec *c, struct str text);
bool write_int4(struct type_writer *w, const struct codec *c, struct str text);
bool write_int8(struct type_writer *w, const struct codec *c, struct str text);
bool write_oid(struct type_writer *w, const struct codec *c, struct str text);
bool read_int(struct type_reader *r, const struct codec *c, struct buf *text);
bool read_long(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_float4(struct type_writer *w, const struct codec *c, struct str text);
bool read_float4(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_float8(struct type_writer *w, const struct codec *c, struct str text);
bool read_float8(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_decimal(struct type_writer *w, const struct codec *c, struct str text);
bool read_decimal(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_variable(struct type_writer *w, const struct codec *c, struct str text);
bool read_variable(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_numeric_double(struct type_writer *w, const struct codec *c, struct str text);
bool read_numeric_double(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_numeric_string(struct type_writer *w, const struct codec *c, struct str text);
bool write_string(struct type_writer *w, const struct codec *c, struct str text);
bool read_string(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_bytes(struct type_writer *w, const struct codec *c, struct str text);
bool read_bytes(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_date(struct type_writer *w, const struct codec *c, struct str text);
bool read_date(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_time_ms(struct type_writer *w, const struct codec *c, struct str text);
bool read_time_ms(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_time_us(struct type_writer *w, const struct codec *c, struct str text);
bool read_time_us(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_timestamp_ms(struct type_writer *w, const struct codec *c, struct str text);
bool read_timestamp_ms(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_timestamp_us(struct type_writer *w, const struct codec *c, struct str text);
bool read_timestamp_us(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_zoned_timestamp(struct type_writer *w, const struct codec *c, struct str text);
bool read_zoned_timestamp(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_zoned_time(struct type_writer *w, const struct codec *c, struct str text);
bool read_zoned_time(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_duration(struct type_writer *w, const struct codec *c, struct str text);
bool read_duration(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_bit(struct type_writer *w, const struct codec *c, struct str text);
bool write_bits(struct type_writer *w, const struct codec *c, struct str text);
bool read_bits(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_money(struct type_writer *w, const struct codec *c, struct str text);
bool write_point(struct type_writer *w, const struct codec *c, struct str text);
bool read_point(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_hstore_json(struct type_writer *w, const struct codec *c, struct str text);
bool read_hstore_json(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_hstore_map(struct type_writer *w, const struct codec *c, struct str text);
bool read_hstore_map(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_geometry(struct type_writer *w, const struct codec *c, struct str text);
bool read_geometry(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_vector(struct type_writer *w, const struct codec *c, struct str text);
bool read_vector(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_sparsevec(struct type_writer *w, const struct codec *c, struct str text);
bool read_sparsevec(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_time_ns(struct type_writer *w, const struct codec *c, struct str text);
bool read_time_ns(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_timestamp_ns(struct type_writer *w, const struct codec *c, struct str text);
bool read_timestamp_ns(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_connect_time(struct type_writer *w, const struct codec *c, struct str text);
bool write_connect_timestamp(struct type_writer *w, const struct codec *c, struct str text);
bool write_iso_date(struct type_writer *w, const struct codec *c, struct str text);
bool read_iso_date(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_iso_time(struct type_writer *w, const struct codec *c, struct str text);
bool read_iso_time(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_iso_timestamp(struct type_writer *w, const struct codec *c, struct str text);
bool read_iso_timestamp(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_iso_interval(struct type_writer *w, const struct codec *c, struct str text);
bool read_iso_interval(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_base64(struct type_writer *w, const struct codec *c, struct str text);
bool read_base64(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_base64_url(struct type_writer *w, const struct codec *c, struct str text);
bool read_base64_url(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_hex(struct type_writer *w, const struct codec *c, struct str text);
bool read_hex(struct type_reader *r, const struct codec *c, struct buf *text);
bool write_money_double(struct type_writer *w, const struct codec *c, struct str text);
bool write_money_string(struct type_writer *w, const struct codec *c, struct str text);
bool write_array(struct type_writer *w, const struct codec *c, struct str text);
bool read_array(struct type_reader *r, const struct codec *c, struct buf *text);

#endif
