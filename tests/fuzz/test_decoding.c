/* SPDX-License-Identifier: Apache-2.0
 *
 * libFuzzer target: a stream of test_decoding lines (lines.h), at once and kept until the commit.
 */
#include "tests/fuzz/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_decoder("test_decoding", 0, data, size);
    fuzz_decoder("test_decoding", 1, data, size);
    return 0;
}
