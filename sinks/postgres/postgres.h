/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL sink, for the list in sinks.c.
 */
#ifndef TR_SINKS_POSTGRES_POSTGRES_H
#define TR_SINKS_POSTGRES_POSTGRES_H

#include "sinks/sink.h"

/* Connector "postgres": PostgreSQL 14 to 18 as a target. */
extern const struct sink_driver sink_postgres;

#endif
