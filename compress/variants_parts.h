/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of variants share.
 *
 *     variants.c        what may be chosen; moments of every unit
 *     variants_make.c   weights and codes of one unit
 *     variants_run.c    the stitched network
 *     variants_kept.c   what earlier plans have computed
 */
#ifndef HADMC_COMPRESS_VARIANTS_PARTS_H
#define HADMC_COMPRESS_VARIANTS_PARTS_H

#include "compress/quantize_parts.h"
#include "compress/variants.h"

/* One unit with some of its inputs, in one width. */
struct made {
    struct made *next;
    int id; /* from 1, by unit */
    int bits;
    const bool *gone; /* [k]: inputs that are not summed; NULL: none */
    float *weights;   /* [channels][k], 16 and 32 bits */
    int8_t *codes;    /* the same below 16 bits, and scale[channels] */
    float *scale;
    float *bias; /* [channels] */
};

struct made_unit {
    bool is_product; /* a product of the graph itself, with float weights */
    struct product p;
    const int *class; /* [k] of what each weight of a channel multiplies */
    double *hessian;  /* [groups][k][k], as far as it can be trusted; NULL: too large */
    double *mean_x;   /* [groups][k] */
    double *mean_y, *deviation_y; /* [channels] of the matched samples */
    struct made *first;           /* what has been made */
    int n_made;
};

struct variants_whole {
    struct variants v; /* what users see; first */
    struct arena *arena;
    struct compile *c;
    struct ir_graph *g;
    const struct dataset *data;
    const int64_t *scored;
    int tile;
    bool forgets;
    const int *rank;           /* by class */
    const int *leader_of;      /* by group */
    const bool *stays_whole;   /* by group: no channel may go */
    struct made_unit *made;    /* by unit */
    struct made_fit *fits;     /* of variants_make.c, the last used first */
    struct quantizer observed; /* grids of all tensors */
    int n_nodes;
    int *unit_of; /* by position of a node: its unit, or -1 */
    /* Both flows hold the matched samples, then the scored ones. */
    int64_t n_matched;
    struct flow *original; /* run to its end: outputs */
    struct flow *stitched; /* all values of the plan that ran last */
    void **inputs;         /* [n_in] of the graph: all samples, as they were read */
    uint64_t *signature;   /* by value: how it came about; 0: not yet */
    const bool *is_cut;    /* by value: worth keeping */
    struct kept_value *kept;
    int64_t kept_bytes;
    struct outputs outputs; /* of the original, scored samples */
};

/* Never NULL.  gone[k] or NULL. */
struct status *variants_make(struct variants_whole *w, int unit, const bool *gone,
                             int bits, const struct made **out);

void variants_drop_fits(struct variants_whole *w);

/* After the nodes' units are known. */
void variants_find_cuts(struct variants_whole *w);
/* v will be computed anew: what it is now may be kept. */
void variants_keep(struct variants_whole *w, const struct ir_value *v);
/* True: v came about like that in an earlier plan, and is that again. */
bool variants_recall(struct variants_whole *w, const struct ir_value *v,
                     uint64_t signature);
void variants_forget(struct variants_whole *w);

/* Mean and standard deviation of each of a unit's channels over the matched samples. */
void variants_matched(const struct variants_whole *w, const struct product *p,
                      const struct flow *f, double *mean, double *deviation);

/* Outputs of `f` for the scored samples, in `a`. */
struct outputs variants_outputs_of(const struct variants_whole *w, const struct flow *f,
                                   struct arena *a);

#endif /* HADMC_COMPRESS_VARIANTS_PARTS_H */
