/* SPDX-License-Identifier: Apache-2.0 */
/* A hash map from text to pointers, in an arena.  Keys are borrowed. */
#ifndef HADMC_SUPPORT_NAME_MAP_H
#define HADMC_SUPPORT_NAME_MAP_H

#include "support/arena.h"

struct name_map {
    struct arena *arena; /* set by the owner; zero everything else */
    int n, cap;          /* cap is 0 or a power of two, at most half full */
    struct name_entry {
        const char *name;
        void *value;
    } *at;
};

/* The value, or NULL when the name is not there. */
void *name_map_get(const struct name_map *m, const char *name);
/* Adds or replaces; a NULL value reads like no entry. */
void name_map_put(struct name_map *m, const char *name, void *value);

#endif /* HADMC_SUPPORT_NAME_MAP_H */
