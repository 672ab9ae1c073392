/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "tests/unit/decoders/suites.h"

int main(void)
{
    SRunner *r = srunner_create(pgoutput_suite());
    srunner_add_suite(r, relation_suite());
    srunner_add_suite(r, test_decoding_suite());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
