/* SPDX-License-Identifier: Apache-2.0
 *
 * Test cases of agent/source; each function returns the cases of the file of its name. */
#ifndef TR_TESTS_UNIT_SOURCE_SUITES_H
#define TR_TESTS_UNIT_SOURCE_SUITES_H

#include <check.h>

/* Cases of test_copytext.c, test_sign.c, test_snapshot.c, test_spill.c, test_state.c and test_timeline.c, to be added to a suite. */
TCase *case_copytext(void);
TCase *case_sign(void);
TCase *case_snapshot(void);
TCase *case_spill(void);
TCase *case_state(void);
TCase *case_timeline(void);

#endif
