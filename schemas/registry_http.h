/* SPDX-License-Identifier: Apache-2.0
 *
 * A registry elsewhere, with Confluent's API (Confluent, Apicurio's ccompat, Karapace, Redpanda).
 *
 * What is known is answered from the cache in the store. A schema that is not is looked for under its subject, and
 * registered when it is not there: the text as we built it, not normalised. While no address answers, that is an error
 * of class ERR_RETRY. A refusal as incompatible is E_SCHEMA_INCOMPATIBLE with the registry's reason, which a caller may
 * park the table for; with on_incompatible new_subject the schema goes under <subject>-v2, -v3 ... instead, the first
 * that takes it, which is remembered. Subjects by config: see registry_http_subject. Thread-safe.
 */
#ifndef TR_SCHEMAS_REGISTRY_HTTP_H
#define TR_SCHEMAS_REGISTRY_HTTP_H

#include "agent/base/config.h"
#include "agent/base/env.h"
#include "schemas/registry.h"

#define REGISTRY_SUBJECTS_MAX 20 /* that may stand for one, one after the other */

/* env, store and config outlive it; store may be read-only, for reading texts. Asks nobody. */
struct registry *registry_http_open(const struct env *env, struct store *store, const struct config_registry *config,
                                    struct err *e) MUST_CHECK;

/* The one that the configuration asks for: this, or the embedded one. */
struct registry *registry_open(const struct env *env, struct store *store, const struct config *config, struct err *e) MUST_CHECK;

/* The subject for a schema text: topic_subject is "<topic>-key" or "<topic>-value". Confluent's TopicNameStrategy,
 * RecordNameStrategy, TopicRecordNameStrategy; a schema that is no named record keeps its topic's. */
void registry_http_subject(enum config_subjects how, struct str topic_subject, struct str text, struct buf *out);

/* The compatibility level of the registry as a whole, asked at address number at of config alone: "BACKWARD". For
 * tailrace check. */
int registry_http_level(const struct env *env, const struct config_registry *config, int at, struct buf *level, struct err *e) MUST_CHECK;

#endif
