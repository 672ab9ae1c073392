/* SPDX-License-Identifier: Apache-2.0
 * Sentinels: ours is known, each changed character is not. */
#include "agent/source/sign.h"

#include "tests/unit/source/suites.h"

static struct facts facts_of(uint8_t first)
{
    struct facts f = {.phase = PHASE_READY, .instance = "0123456789abcdef"};
    for (size_t at = 0; at < sizeof f.key; at++)
        f.key[at] = (uint8_t) (first + at);
    return f;
}

/* printf 'v1 0123456789abcdef 00000000000000ff' | openssl dgst -sha256 -mac HMAC -macopt
 * hexkey:000102...1f, first 32 digits */
START_TEST(known_answer)
{
    struct facts f = facts_of(0);
    char text[SENTINEL_LEN + 1];
    sentinel_write(&f, 255, text);
    ck_assert_str_eq(text, "v1 0123456789abcdef 00000000000000ff f0e594d894906591dafd57d450101bf8");
    ck_assert(sentinel_verify(&f, str_of(text)));
}
END_TEST

START_TEST(any_change_is_foreign)
{
    struct facts f = facts_of(0), other = facts_of(1);
    char text[SENTINEL_LEN + 1];
    sentinel_write(&f, 7, text);
    ck_assert(!sentinel_verify(&other, str_of(text)));
    ck_assert(!sentinel_verify(&f, (struct str){text, SENTINEL_LEN - 1}));
    ck_assert(!sentinel_verify(&f, STR_NONE));
    for (size_t at = 0; at < SENTINEL_LEN; at++) {
        text[at] ^= 1;
        ck_assert_msg(!sentinel_verify(&f, str_of(text)), "character %zu", at);
        text[at] ^= 1;
    }
    ck_assert(sentinel_verify(&f, str_of(text)));
}
END_TEST

TCase *case_sign(void)
{
    TCase *t = tcase_create("sign");
    tcase_add_test(t, known_answer);
    tcase_add_test(t, any_change_is_foreign);
    return t;
}
