/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of sinks: one line each. A sink that is not here does not exist.
 */
#include "sinks/sink.h"

#include "sinks/postgres/postgres.h"

static const struct sink_driver *const drivers[] = {
    &sink_postgres,
};

const struct sink_driver *sink_find(const char *connector)
{
    for (size_t at = 0; at < sizeof drivers / sizeof drivers[0]; at++)
        if (connector && !strcmp(drivers[at]->name, connector))
            return drivers[at];
    return NULL;
}
