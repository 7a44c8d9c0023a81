/* SPDX-License-Identifier: Apache-2.0 */
/* A graph that runs over a batch of samples, forwards and backwards.
 *
 * The graph describes one sample.  The tape runs it on many: a value of shape S is
 * [samples][S] here, every operator is applied to each sample by itself, so any graph
 * can be batched, wherever its batch dimension went.  Only BatchNormalization in
 * training mode looks at the batch as a whole.
 *
 *     struct tape_options o = {.batch = 128, .backward = true};
 *     RETURN_IF_FAIL(tape_build(g, &o, &t));
 *     fill tape_input(t, i, 0) for every sample i
 *     tape_forward(t, n);
 *     read tape_output(t, i, 0), fill tape_output_gradient(t, i, 0)
 *     tape_backward(t, n);                  t->gradient[] belongs to t->weight[]
 *     tape_destroy(t);
 *
 * Shards.  A batch is cut into at most TAPE_SHARDS shards of equal size; a worker runs
 * one shard through as many operators as it can, in memory that is planned once and
 * mostly stays in its cache.  Sums over the batch are made per shard and then in the
 * shards' order: the same bytes for any number of threads.
 *
 * Weights are the float constants at the operands that derivatives.def lists, and codes
 * with their scales behind QuantizeLinear and DequantizeLinear (tape_codes.c).  Values
 * from which no weight can be reached need no derivative and may be of any type; what
 * derivatives.def lacks is then run by the interpreter.
 */
#ifndef HADMC_TRAIN_TAPE_H
#define HADMC_TRAIN_TAPE_H

#include "frontend/interpret.h"
#include "frontend/ir.h"
#include "support/workers.h"
#include "train/train_real.h"

enum { TAPE_SHARDS = 16 };

struct tape_options {
    int64_t batch;    /* most samples at once */
    int n_threads;    /* 0: all processors */
    bool backward;    /* otherwise only forwards, in less memory */
    bool train_norms; /* BatchNormalization normalizes with the batch's statistics, and
                         its own follow them */
    bool differentiate_inputs; /* of the graph: tape_input_gradient */
    int n_outputs;             /* 0: the graph's outputs, float32 ones */
    struct ir_value *const *output;
};

/* ---- parts, for the files of this room ------------------------------------------ */

struct tape_call;
struct tape_step;
struct tape;

/* Reads the node: sizes, refusals, s->plan. */
typedef struct status *derivative_prepare_fn(struct tape *t, struct tape_step *s);
typedef void derivative_run_fn(const struct tape_call *c);

enum derivative_traits {
    KEEPS_IN = 1,  /* backward reads the operands */
    KEEPS_OUT = 2, /* backward reads the results */
    IN_PLACE =
        4,      /* and WRITES: the result may lie where operand 0 does, if as large, and
                   its gradient where that of operand 0 does, which is then fresh */
    WRITES = 8, /* backward heeds `fresh`; otherwise gradients start at zero */
    VIEW = 16,  /* the result has the operand's elements: no step at all */
};

struct derivative {
    derivative_prepare_fn *prepare; /* NULL: nothing to prepare */
    derivative_run_fn *forward, *backward;
    unsigned traits;
    unsigned trained; /* bit i: a float constant as operand i is a weight;
                         TRAIN_VECTORS: constants that have one dim are */
};

enum { TRAIN_VECTORS = 1 << 16 };

extern const struct derivative derivatives[OP_COUNT]; /* forward NULL: none */

/* A value on the tape. */
struct tape_slot {
    const struct ir_value *value;
    int64_t count;     /* elements of one sample */
    bool on_tape;      /* an input, or made by a step */
    bool is_real;      /* float32: real here; other types are stored as they are */
    bool wants;        /* depends on weights */
    bool has_gradient; /* and the outputs depend on it */
    int weight;        /* its number, or -1 */
    const void *constant;
    int home, gradient_home; /* slots whose memory is used */
    size_t at, gradient_at;  /* bytes into a shard's memory */
};

struct tape_step {
    const struct ir_node *node;
    const struct derivative *d; /* NULL: the interpreter */
    int index;
    bool back; /* runs backwards */
    void *plan;
    size_t kept_bytes;    /* that forward leaves for backward, per shard */
    size_t scratch_bytes; /* while running */
    size_t kept_at;
    /* Once per batch, before everything else, when weights may have changed. */
    void (*refresh)(struct tape *t, struct tape_step *s);
    /* BatchNormalization: measure runs on every shard, then meet once, then forward. */
    derivative_run_fn *measure, *measure_back;
    void (*meet)(struct tape *t, struct tape_step *s);
    void (*meet_back)(struct tape *t, struct tape_step *s);
};

/* A step on a shard.  Operand i of sample s begins at in[i] + s * in_count[i]; where
 * in_count is 0 it is the same for all samples. */
struct tape_call {
    struct tape *tape;
    const struct tape_step *step;
    int shard;
    int64_t n;       /* samples */
    const void **in; /* NULL where left out */
    int64_t *in_count;
    void **out;
    real **d_in;        /* NULL: not wanted */
    const real **d_out; /* NULL: zero */
    bool *fresh;        /* d_in[i] holds nothing yet: write, do not add */
    bool *zeroed;       /* the tape does, before */
    void *kept, *scratch;
};

static inline const real *call_in(const struct tape_call *c, int i, int64_t sample)
{
    return (const real *)c->in[i] + sample * c->in_count[i];
}

static inline real *call_out(const struct tape_call *c, int i, int64_t sample)
{
    return (real *)c->out[i] + sample * ir_count(c->step->node->out[i]);
}

static inline const real *call_d_out(const struct tape_call *c, int i, int64_t sample)
{
    return c->d_out[i] + sample * ir_count(c->step->node->out[i]);
}

/* The gradient of operand i in this sample, to be added to. */
static inline real *call_d_in(const struct tape_call *c, int i, int64_t sample)
{
    return c->d_in[i] + sample * c->in_count[i];
}

struct tape_weight {
    const struct ir_value *value;
    int64_t at, count; /* elements of t->weight */
    bool is_scale;     /* of codes: stays above zero */
    real rate;         /* the optimizer's steps are so many times as long */
    /* Weights that are stored as codes, the operand of a DequantizeLinear: trained as
     * numbers of steps, used rounded (tape_codes.c).  NULL: plain ones. */
    const struct ir_node *dequantize;
    int scale; /* number of the weight that is their scale */
    real *rounded;
};

/* Code i has scale number i / inner % n. */
struct code_channels {
    int64_t n, inner;
    const real *scale;
};

/* More than one number a channel, as biases and scales have. */
static inline bool tape_is_matrix(const struct tape_weight *w)
{
    int wide = 0;

    for (int d = 0; d < w->value->rank; d++)
        wide += w->value->dim[d] > 1;
    return wide > 1;
}

struct tape_shard {
    char *memory;
    struct tape_call *call; /* by step */
    real *gradient;         /* like tape.gradient */
};

struct tape {
    struct arena *a;
    const struct ir_graph *graph;
    struct tape_options options;
    int n_slots;
    struct tape_slot *slot; /* by value id */
    int n_steps;
    struct tape_step *step;
    int n_outputs;
    struct tape_slot **output;
    int n_weights, cap_weights;
    struct tape_weight *weights;
    int64_t n_elements;
    real *weight, *gradient; /* all weights one after the other */
    int n_stats, cap_stats;  /* of BatchNormalization: means and variances */
    struct tape_weight *stats;
    int64_t n_stat_elements;
    real *stat;
    real stat_share; /* of a batch in what follows it; 0: as the node's momentum says */
    int n_shards;
    int64_t shard_size; /* samples; the last shard may be smaller */
    int64_t n;          /* samples of the batch in progress */
    struct tape_shard *shard;
    size_t shard_bytes;
    struct workers *workers;
    void **scratch;                  /* by worker */
    struct interpreter *interpreter; /* by worker */
    bool training; /* norms use the batch's statistics: options.train_norms && backward
                    */
};

/* The constant v is a mean or variance: where in t->stat it will be. */
int64_t tape_add_stat(struct tape *t, const struct ir_value *v);
/* Of weights that are stored as codes: their steps, as they are now. */
struct code_channels tape_code_channels(const struct tape *t,
                                        const struct tape_weight *w);
/* v is the same for every sample. */
bool tape_is_fixed(const struct tape *t, const struct ir_value *v);

/* ---- use ------------------------------------------------------------------------ */

/* UNSUPPORTED, naming the node: an operator without a derivative between weights and
 * outputs, or one that nothing here can run. */
struct status *tape_build(const struct ir_graph *g, const struct tape_options *o,
                          struct tape **out);
void tape_destroy(struct tape *t); /* NULL is fine */

/* Sample i of the next batch, input k of the graph: float32 inputs as reals, others in
 * their own type. */
void *tape_input(struct tape *t, int64_t i, int k);
const real *tape_output(const struct tape *t, int64_t i, int k);
real *tape_output_gradient(struct tape *t, int64_t i, int k);
const real *tape_input_gradient(const struct tape *t, int64_t i, int k);

void tape_forward(struct tape *t, int64_t n);
/* Of the same batch; every output's gradient is filled. */
void tape_backward(struct tape *t, int64_t n);

/* Weights and statistics become the constants of g, the tape's graph. */
void tape_store(const struct tape *t, struct ir_graph *g);

#endif /* HADMC_TRAIN_TAPE_H */
