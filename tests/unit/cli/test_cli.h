/* SPDX-License-Identifier: Apache-2.0
 * The suites of agent/cli, and what they share. */
#ifndef TR_TEST_CLI_H
#define TR_TEST_CLI_H

#include <check.h>

#include "agent/base/str.h"

/* Each adds its test case to the suite. */
void add_config_tests(Suite *suite);
void add_secret_tests(Suite *suite);
void add_parse_tests(Suite *suite);
void add_docs_tests(Suite *suite);
void add_init_tests(Suite *suite);

/* A file under $TR_SRCDIR, whole. */
struct buf test_file(const char *path);

/* Calls row for each line of a .tsv under $TR_SRCDIR, with its columns; returns how many. */
int test_rows(const char *path, int columns, void (*row)(const struct str *column));

#endif
