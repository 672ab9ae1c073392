/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files of the configuration loader: config.c walks the document, load_value.c reads
 * one value, load_check.c checks what concerns more than one value.
 *
 * What is loaded remembers where each value came from, for faults found later and for config_print.
 */
#ifndef TR_CLI_LOAD_H
#define TR_CLI_LOAD_H

#include <libfyaml.h>

#include "agent/cli/fault.h"
#include "agent/cli/option.h"

#define LOAD_TARGETS_MAX 60 /* each has metric series of its own, see METRIC_SERIES_MAX */
#define LOAD_ROUTES_MAX 60
#define LOAD_RULES_MAX 1000
#define LOAD_LIST_MAX 1000
#define LOAD_NAME_MAX 40

/* Where a field's value came from. */
struct origin {
    struct origin *next;
    const void *field;
    struct place at;      /* line 0: default */
    bool derived, secret; /* made from another value; read by !secret */
};

/* What config_load returns: the configuration and its origins. config is first, so that a pointer
 * to it is a pointer to this. */
struct loaded {
    struct config config;
    struct origin *origins;
};

struct loader {
    struct loaded *out;
    struct arena *arena;   /* of the configuration */
    struct faults *faults;
    const char *directory; /* of the file, for relative secret files; "" = current */
};

/* One value in the file. */
struct load_item {
    struct fy_node *node;
    struct place at;  /* of the value, or of its key when the value has no place of its own */
    const char *path; /* "source.slot", "targets.warehouse.url", for messages */
};

/* Where a node starts; fallback when libfyaml does not tell (an empty map or list). */
struct place load_place(struct fy_node *node, struct place fallback);

/* The node is a plain null: nothing, ~ or null. */
bool load_is_null(struct fy_node *node);

/* The scalar's text after expansion, in the arena and followed by NUL; false after a fault. */
bool load_scalar(struct loader *l, const struct load_item *item, struct str *out);

/* Read item into the option's field of base (the struct of its section); faults are kept. */
void load_option(struct loader *l, const struct option *o, void *base, const struct load_item *item);
/* Put the option's default there. */
void load_default(struct loader *l, const struct option *o, void *base);

/* Remember where field's value stands; the origin of a field, NULL when none is known. */
struct origin *load_origin_set(struct loader *l, const void *field, struct place at);
const struct origin *load_origin(const struct loaded *loaded, const void *field);

/* Derive what depends on other values, then check what concerns more than one. */
void load_derive(struct loader *l);
void load_check(struct loader *l);

/* A name as used for slots, groups and topics: [a-z][a-z0-9_]*, at most max bytes. */
bool load_is_name(const char *name, size_t max);

#endif
