/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/arena.h"

int str_cmp(struct str a, struct str b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter ? memcmp(a.p, b.p, shorter) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

bool str_starts(struct str s, const char *prefix)
{
    size_t len = strlen(prefix);
    return s.len >= len && (len == 0 || memcmp(s.p, prefix, len) == 0);
}

bool str_to_u64(struct str s, uint64_t *out)
{
    uint64_t value = 0;
    if (s.len == 0 || s.len > 20)
        return false;
    for (size_t at = 0; at < s.len; at++) {
        if (s.p[at] < '0' || s.p[at] > '9')
            return false;
        uint64_t digit = (uint64_t) (s.p[at] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

bool str_to_i64(struct str s, int64_t *out)
{
    bool minus = s.len > 0 && s.p[0] == '-';
    struct str digits = minus ? (struct str){s.p + 1, s.len - 1} : s;
    uint64_t value;
    if (!str_to_u64(digits, &value) || value > (uint64_t) INT64_MAX + (minus ? 1 : 0))
        return false;
    *out = minus ? (int64_t) (0 - value) : (int64_t) value;
    return true;
}

int str_hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0'
        : c >= 'A' && c <= 'F'  ? c - 'A' + 10
        : c >= 'a' && c <= 'f'  ? c - 'a' + 10
                                : -1;
}

bool str_to_bytes(struct str hex, uint8_t *to, size_t len)
{
    if (hex.len != 2 * len)
        return false;
    for (size_t at = 0; at < hex.len; at++) {
        int digit = hex.p[at] >= 'A' && hex.p[at] <= 'F' ? -1 : str_hex_digit(hex.p[at]);
        if (digit < 0)
            return false;
        to[at / 2] = (uint8_t) (at % 2 ? to[at / 2] << 4 | digit : digit);
    }
    return true;
}

/* Up to eight hex digits; false when none or more. */
static bool hex_word(struct str s, uint64_t *out)
{
    uint64_t value = 0;
    if (s.len == 0 || s.len > 8)
        return false;
    for (size_t at = 0; at < s.len; at++) {
        int digit = str_hex_digit(s.p[at]);
        if (digit < 0)
            return false;
        value = value << 4 | (uint64_t) digit;
    }
    *out = value;
    return true;
}

bool str_to_lsn(struct str s, uint64_t *out)
{
    const char *slash = s.len ? memchr(s.p, '/', s.len) : NULL;
    uint64_t high, low;
    if (!slash)
        return false;
    size_t before = (size_t) (slash - s.p);
    if (!hex_word((struct str){s.p, before}, &high)
        || !hex_word((struct str){slash + 1, s.len - before - 1}, &low))
        return false;
    *out = high << 32 | low;
    return true;
}

const char *lsn_text(uint64_t lsn, char out[LSN_TEXT_LEN])
{
    snprintf(out, LSN_TEXT_LEN, "%" PRIX32 "/%" PRIX32, (uint32_t) (lsn >> 32), (uint32_t) lsn);
    return out;
}

bool str_match(struct str pattern, struct str text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;
    while (t < text.len) {
        if (p < pattern.len && (pattern.p[p] == '?' || pattern.p[p] == text.p[t])
            && pattern.p[p] != '*') {
            p++, t++;
        } else if (p < pattern.len && pattern.p[p] == '*') {
            star = p++;
            mark = t;
        } else if (star != SIZE_MAX) {
            p = star + 1; /* let the last star take one more character */
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.p[p] == '*')
        p++;
    return p == pattern.len;
}

unsigned str_distance(struct str a, struct str b)
{
    unsigned row[64];
    size_t a_len = a.len > 63 ? 63 : a.len, b_len = b.len > 63 ? 63 : b.len;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = (unsigned) j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned) i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned best = diagonal + (a.p[i - 1] != b.p[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_len];
}
