/* SPDX-License-Identifier: Apache-2.0 */
/* Which step reads and writes which bytes: what may be moved past what. */
#ifndef HADMC_CODEGEN_STEP_RANGE_H
#define HADMC_CODEGEN_STEP_RANGE_H

#include "codegen/builder.h"

/* Bytes [begin, end) of the tensor that owns the memory. */
struct range {
    int root;
    int64_t begin, end;
};

struct range step_range(const struct program *p, const struct operand *o);
bool range_overlap(struct range a, struct range b);
bool range_same(struct range a, struct range b);

/* Does `s` read (with `write`: write) any of `r`?  Does a step strictly between? */
bool step_touches(const struct program *p, const struct step *s, struct range r,
                  bool write);
bool step_touched_between(const struct program *p, int after, int before,
                          struct range r, bool write);
/* A jump from between steps i and j, or to after i, keeps them apart. */
bool step_control_between(const struct program *p, int i, int j);
/* The last step before j that writes what input k of j reads; -1 if none. */
int step_writer_before(const struct program *p, int j, int k);
/* Takes the step out; jumps still lead where they led. */
void step_remove(struct program *p, int i);

bool range_is_output(const struct builder *b, struct range r);
/* Is `r` an output of the graph, or read by a step other than i and j? */
bool range_read_elsewhere(const struct builder *b, int i, int j, struct range r);

#endif /* HADMC_CODEGEN_STEP_RANGE_H */
