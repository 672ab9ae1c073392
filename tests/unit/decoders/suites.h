/* SPDX-License-Identifier: Apache-2.0
 *
 * The suites of this program.
 */
#ifndef TR_TESTS_DECODERS_SUITES_H
#define TR_TESTS_DECODERS_SUITES_H

#include <check.h>

/* One a file; main runs them. */
Suite *pgoutput_suite(void);
Suite *relation_suite(void);
Suite *test_decoding_suite(void);

#endif
