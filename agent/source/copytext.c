/* SPDX-License-Identifier: Apache-2.0
 *
 * The unescaped text is never longer than the escaped one, so it is written over it.
 */
#include "agent/source/copytext.h"

static char plain_escape(char c)
{
    static const char from[] = "bfnrtv", to[] = "\b\f\n\r\t\v";
    const char *at = c ? strchr(from, c) : NULL;
    return at ? to[at - from] : c;
}

/* The byte that an escape stands for; *p is behind the backslash and is moved behind the escape. */
static char unescape(const char **p, const char *end)
{
    char c = *(*p)++;
    unsigned byte = 0;
    if (c >= '0' && c <= '7') {
        byte = (unsigned) (c - '0');
        for (int more = 0; more < 2 && *p < end && **p >= '0' && **p <= '7'; more++)
            byte = byte * 8 + (unsigned) (*(*p)++ - '0');
        return (char) (byte & 0xff);
    }
    if (c == 'x' && *p < end && str_hex_digit(**p) >= 0) {
        for (int more = 0; more < 2 && *p < end && str_hex_digit(**p) >= 0; more++)
            byte = byte * 16 + (unsigned) str_hex_digit(*(*p)++);
        return (char) byte;
    }
    return plain_escape(c);
}

/* One column from p up to end, unescaped in place. */
static struct value take_column(char *p, const char *end)
{
    if (end - p == 2 && p[0] == '\\' && p[1] == 'N')
        return (struct value){VALUE_NULL, STR_NONE};
    char *out = memchr(p, '\\', (size_t) (end - p));
    if (!out)
        return (struct value){VALUE_SET, {p, (size_t) (end - p)}};
    for (const char *in = out; in < end;) {
        char c = *in++;
        *out++ = c == '\\' && in < end ? unescape(&in, end) : c;
    }
    return (struct value){VALUE_SET, {p, (size_t) (out - p)}};
}

int copytext_parse(char *line, size_t len, struct value *values, int count, struct err *e)
{
    char *end = line + len;
    int found = 0;
    if (len && end[-1] == '\n')
        end--;
    if (count == 0 && end == line)
        return 0;
    for (char *p = line; found <= count; found++) {
        char *tab = memchr(p, '\t', (size_t) (end - p));
        if (found < count)
            values[found] = take_column(p, tab ? tab : end);
        if (!tab) {
            found++;
            break;
        }
        p = tab + 1;
    }
    if (found != count)
        return err_set(e, E_PG_PROTOCOL, "a copied row does not have the %d columns asked for", count);
    return 0;
}
