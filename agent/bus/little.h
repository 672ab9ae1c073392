/* SPDX-License-Identifier: Apache-2.0
 *
 * Little-endian numbers in and out, for events and blocks: each moves p behind what it wrote or read, within bounds that the caller
 * has checked.
 */
#ifndef TR_BUS_LITTLE_H
#define TR_BUS_LITTLE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

/* Write v to p; returns where the next one goes. */
static inline char *out8(char *p, uint8_t v)
{
    *p = (char) v;
    return p + 1;
}

static inline char *out32(char *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static inline char *out64(char *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

/* The next one at *p. */
static inline uint8_t in8(const char **p)
{
    return (uint8_t) *(*p)++;
}

static inline uint32_t in32(const char **p)
{
    uint32_t v;
    memcpy(&v, *p, sizeof v);
    *p += sizeof v;
    return le32toh(v);
}

static inline uint64_t in64(const char **p)
{
    uint64_t v;
    memcpy(&v, *p, sizeof v);
    *p += sizeof v;
    return le64toh(v);
}

#endif
