/* SPDX-License-Identifier: Apache-2.0 */
/* Hash map: open addressing, FNV-1a.  See name_map.h. */
#include "support/name_map.h"

#include <stdint.h>
#include <string.h>

static uint32_t hash_text(const char *text)
{
    uint32_t h = 2166136261u;

    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 16777619u;
    return h;
}

static struct name_entry *slot(const struct name_map *m, const char *name)
{
    uint32_t i = hash_text(name) & (uint32_t)(m->cap - 1);

    while (m->at[i].name && strcmp(m->at[i].name, name) != 0)
        i = (i + 1) & (uint32_t)(m->cap - 1);
    return &m->at[i];
}

void *name_map_get(const struct name_map *m, const char *name)
{
    return m->cap ? slot(m, name)->value : NULL;
}

void name_map_put(struct name_map *m, const char *name, void *value)
{
    if (2 * m->n >= m->cap) {
        const struct name_map old = *m;

        m->cap = old.cap ? 2 * old.cap : 64;
        m->at = arena_new_array(m->arena, struct name_entry, m->cap);
        for (int i = 0; i < old.cap; i++)
            if (old.at[i].name)
                *slot(m, old.at[i].name) = old.at[i];
    }

    struct name_entry *entry = slot(m, name);

    if (!entry->name) {
        entry->name = name;
        m->n++;
    }
    entry->value = value;
}
