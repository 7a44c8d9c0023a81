/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a training on disk: replaced whole or not at all, checked whole.
 *
 *     "HADMTRN2", key[32], step i64, size i64, size bytes, SHA-256 of all before
 *
 * in the byte order of the machine: a checkpoint continues where it was made.  The key
 * stands for everything that the training's result depends on.
 */
#ifndef HADMC_TRAIN_CHECKPOINT_H
#define HADMC_TRAIN_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "support/status.h"

/* A piece of the state, in memory that lives. */
struct checkpoint_part {
    void *at;
    int64_t n_bytes;
};

struct checkpoint {
    const char *path;
    uint8_t key[32];
    int n_parts;
    const struct checkpoint_part *part;
};

/* Written beside it, then renamed.  IO_ERROR. */
struct status *checkpoint_write(const struct checkpoint *c, int64_t step);

/* Fills the parts, sets *step; *found is false when there is no file.  INVALID for a
 * damaged file, or one with another key or size: the parts are as before. */
struct status *checkpoint_read(const struct checkpoint *c, int64_t *step, bool *found);

#endif /* HADMC_TRAIN_CHECKPOINT_H */
