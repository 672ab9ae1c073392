/* SPDX-License-Identifier: Apache-2.0
 *
 * Route patterns over relations and topics.
 */
#include "agent/hub/route.h"

void route_init(struct route_cache *r, const struct config_list *from)
{
    *r = (struct route_cache){.from = from};
}

bool route_takes(struct route_cache *r, const struct relation *rel)
{
    struct route_answer *answer = &r->answers[((uintptr_t) rel >> 4) % ROUTE_CACHE];
    if (answer->rel != rel)
        *answer = (struct route_answer){rel, config_list_matches(r->from, rel->space, rel->name)};
    return answer->takes;
}

bool route_takes_topic(const struct route_cache *r, struct str prefix, struct str topic)
{
    if (topic.len <= prefix.len + 1 || memcmp(topic.p, prefix.p, prefix.len) != 0 ||
        topic.p[prefix.len] != '.')
        return false;
    struct str rest = {topic.p + prefix.len + 1, topic.len - prefix.len - 1};
    const char *dot = memchr(rest.p, '.', rest.len);
    if (!dot)
        return false;
    struct str space = {rest.p, (size_t) (dot - rest.p)};
    struct str name = {dot + 1, rest.len - space.len - 1};
    return config_list_matches(r->from, space, name);
}
