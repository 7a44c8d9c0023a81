/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the tape share among themselves. */
#ifndef HADMC_TRAIN_TAPE_PARTS_H
#define HADMC_TRAIN_TAPE_PARTS_H

#include "train/tape.h"

/* tape_memory.c: at, gradient_at, kept_at and shard_bytes. */
void tape_plan_memory(struct tape *t);

/* tape_interpret.c: steps without derivative, sample by sample. */
void tape_interpreters_create(struct tape *t);
void tape_interpreters_destroy(struct tape *t);
void tape_interpret(const struct call *c, int worker);

#endif /* HADMC_TRAIN_TAPE_PARTS_H */
