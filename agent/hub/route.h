/* SPDX-License-Identifier: Apache-2.0
 *
 * Which tables a route takes. The answer for a relation is kept, since it is asked for every row.
 */
#ifndef TR_HUB_ROUTE_H
#define TR_HUB_ROUTE_H

#include "agent/base/config.h"
#include "schemas/relation.h"

#define ROUTE_CACHE 256

struct route_cache {
    const struct config_list *from;
    struct route_answer {
        const struct relation *rel;
        bool takes;
    } answers[ROUTE_CACHE];
};

/* Patterns are borrowed. */
void route_init(struct route_cache *r, const struct config_list *from);

/* The route takes this relation's rows. Relations are told apart by their address. */
bool route_takes(struct route_cache *r, const struct relation *rel);

/* The same for a topic "<prefix>.<space>.<name>", for copies of tables without rows; characters
 * that a topic cannot hold are underscores in it. */
bool route_takes_topic(const struct route_cache *r, struct str prefix, struct str topic);

#endif
