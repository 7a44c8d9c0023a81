/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets share.  A refusal is fine; a bug (INTERNAL) or a graph that
 * does not survive being printed ends the process. */
#ifndef HADMC_TESTS_FUZZ_FUZZ_H
#define HADMC_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/interpret.h"
#include "frontend/pass.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void fuzz_check(struct status *s)
{
    if (s && status_code(s) == INTERNAL) {
        status_print(s, stderr);
        abort();
    }
    status_free(s);
}

/* Elements of all values, and of bodies' values. */
static inline int64_t fuzz_size(const struct ir_graph *g)
{
    int64_t size = 0;

    for (int i = 0; i < g->n_in; i++)
        size += ir_count(g->in[i]);
    for (const struct ir_node *n = g->first; n; n = n->next) {
        for (int i = 0; i < n->n_in; i++)
            size += n->in[i] ? ir_count(n->in[i]) : 0;
        for (int i = 0; i < n->n_out; i++)
            size += n->out[i] ? ir_count(n->out[i]) : 0;
        for (int b = 0; b < IR_MAX_BODIES; b++)
            size += n->body[b] ? (int64_t)1 << 40 : 0; /* may never end */
    }
    return size;
}

/* print(parse(print(g))) == print(g) */
static inline void fuzz_reads_back(const struct ir_graph *g)
{
    struct compile *c = compile_create();
    struct text once = {0}, twice = {0};
    struct ir_graph *again;

    if (fuzz_size(g) < 1 << 20) {
        ir_print(g, IR_TEXT_ALL_DATA, &once);

        struct status *s = ir_parse(c, once.bytes, once.len, &again);

        if (s) {
            fprintf(stderr, "%s", once.bytes);
            status_print(s, stderr);
            abort();
        }
        ir_print(again, IR_TEXT_ALL_DATA, &twice);
        if (strcmp(once.bytes, twice.bytes) != 0) {
            fprintf(stderr, "%s-- reads back as\n%s", once.bytes, twice.bytes);
            abort();
        }
    }
    text_free(&once);
    text_free(&twice);
    compile_destroy(c);
}

static inline void fuzz_run(const struct ir_graph *g)
{
    struct arena *a = arena_create();
    struct tensor *in = arena_new_array(a, struct tensor, g->n_in);
    struct interpretation out;

    if (fuzz_size(g) < 1 << 11) {
        for (int i = 0; i < g->n_in; i++) {
            const struct ir_value *v = g->in[i];

            in[i] = (struct tensor){.dtype = v->dtype, .rank = v->rank,
                                    .data = arena_alloc(a, (size_t)ir_bytes(v) + 1)};
            memcpy(in[i].dim, v->dim, sizeof v->dim);
        }
        fuzz_check(interpret(a, g, in, &out));
    }
    arena_destroy(a);
}

/* A graph that was accepted goes through all passes: none may fail. */
static inline void fuzz_passes(struct compile *c, struct ir_graph *g)
{
    struct status *s = OK;

    if (fuzz_size(g) < 1 << 16)
        s = passes_run(c, g, NULL);
    if (!s && fuzz_size(g) < 1 << 16)
        s = pass_channels_last(c, g);
    if (s) {
        status_print(s, stderr);
        abort();
    }
    fuzz_run(g);
}

#endif /* HADMC_TESTS_FUZZ_FUZZ_H */
