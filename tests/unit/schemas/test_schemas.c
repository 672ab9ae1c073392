/* SPDX-License-Identifier: Apache-2.0
 * schemas: types, schema texts, events out and back. */
#include <stdlib.h>

#include "tests/unit/schemas/support.h"

int main(void)
{
    Suite *s = suite_create("schemas");
    suite_add_tcase(s, case_envelope());
    suite_add_tcase(s, case_types());
    suite_add_tcase(s, case_forms());
    suite_add_tcase(s, case_extension());
    suite_add_tcase(s, case_property());
    suite_add_tcase(s, case_malformed());
    suite_add_tcase(s, case_shape());
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
