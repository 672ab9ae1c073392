/* SPDX-License-Identifier: Apache-2.0
 *
 * libFuzzer target: a stream of pgoutput messages (lines.h).
 */
#include "tests/fuzz/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_decoder("pgoutput", 1, data, size);
    return 0;
}
