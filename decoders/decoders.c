/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of decoders: one line each.
 */
#include "decoders/decoder.h"
#include "decoders/pgoutput/pgoutput.h"
#include "decoders/test_decoding/test_decoding.h"

static const struct decoder_driver *const decoders[] = {
    &decoder_pgoutput,
    &decoder_test_decoding,
};

const struct decoder_driver *decoder_find(const char *name)
{
    for (size_t at = 0; at < sizeof decoders / sizeof *decoders; at++)
        if (!strcmp(decoders[at]->name, name))
            return decoders[at];
    return NULL;
}
