/* SPDX-License-Identifier: Apache-2.0
 * agent/source: the parts that need no server. */
#include "tests/unit/source/suites.h"

int main(void)
{
    Suite *s = suite_create("source");
    suite_add_tcase(s, case_copytext());
    suite_add_tcase(s, case_sign());
    suite_add_tcase(s, case_snapshot());
    suite_add_tcase(s, case_spill());
    suite_add_tcase(s, case_state());
    suite_add_tcase(s, case_timeline());
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
