/* SPDX-License-Identifier: Apache-2.0 */
/* The loop that runs and times a compiled model.  One source, two hosts: runner.c
 * calls it in a child of hadmcc, freestanding/runner_program.c is a program that
 * is linked with the model for another processor.  Both read a request and fill in
 * a response; both are one block of memory with offsets inside:
 *
 *     request    struct run_request, io_at[n_in + n_out + n_dims], inputs of set 0,
 *                of set 1 ...
 *     response   struct run_response, pointers, times, outputs and dims of set 0,
 *                of set 1 ..., workspace
 *
 * Freestanding: no libc but memcpy and memset.
 */
#ifndef HADMC_CODEGEN_RUNNER_CORE_H
#define HADMC_CODEGEN_RUNNER_CORE_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/hadm.h"

#define RUN_MAGIC UINT64_C(0x3172656e6e757268) /* "hrunner1" */

struct run_request {
    uint64_t magic;
    int64_t n_in, n_out, n_dims; /* n_dims: int64_t arrays of dynamic outputs */
    int64_t n_sets, warm_up, repeat, n_workers;
    int64_t n_steps; /* what the report says; the model must agree */
    int64_t per_step, keep_workspace;
    int64_t workspace_bytes, weights_bytes;
    int64_t request_bytes, response_bytes;
    int64_t in_begin, in_stride;   /* in the request; stride: bytes per set */
    int64_t out_begin, out_stride; /* in the response */
    int64_t pointers_begin, wall_begin, cpu_begin, step_begin, workspace_begin;
    int64_t io_at[]; /* inputs within a set's record, then outputs and dims */
};

struct run_response {
    int64_t done;    /* 1 when everything below is valid */
    int64_t status;  /* enum hadm_status of foo_open or foo_use_workers */
    int64_t n_steps; /* of the model */
    int64_t peak_rss_bytes;
    double open_us;
};

typedef enum hadm_status run_open_fn(void *model, const void *weights, size_t len,
                                     void *workspace, size_t workspace_len,
                                     unsigned flags);
typedef enum hadm_status run_workers_fn(void *model, hadm_parallel_for *parallel_for,
                                        void *pool, uint64_t n_workers);
typedef void run_run_fn(const void *model, void *const *in, void *const *out);

struct run_api {
    run_open_fn *open;
    run_workers_fn *use_workers;
    run_run_fn *run;
    hadm_parallel_for *parallel_for; /* used when the request has several workers */
    void *pool;
    double (*wall_us)(void);
    double (*cpu_us)(void);
};

/* Opens the model, and once more with a look at all of its weights, which does not count
 * as time; false when it refuses (response->status says why). */
static inline int run_core_open(const struct run_api *api, const struct run_request *q,
                                const void *weights, void *workspace,
                                struct hadm_context *model, struct run_response *r)
{
    const double start = api->wall_us();

    r->status = api->open(model, weights, (size_t)q->weights_bytes, workspace,
                          (size_t)q->workspace_bytes, 0);
    r->open_us = api->wall_us() - start;
    if (r->status == HADM_OK)
        r->status = api->open(model, weights, (size_t)q->weights_bytes, workspace,
                              (size_t)q->workspace_bytes, HADM_CHECK_PAYLOAD);
    if (r->status == HADM_OK && q->n_workers > 1)
        r->status = api->use_workers(model, api->parallel_for, api->pool,
                                     (uint64_t)q->n_workers);
    if (r->status == HADM_OK)
        r->n_steps = model->model->n_steps;
    return r->status == HADM_OK;
}

struct run_core_range {
    const struct hadm_context *model;
    const struct hadm_step *step;
    void *const *io;
};

static inline void run_core_body(void *arg, int64_t begin, int64_t end, int64_t worker)
{
    const struct run_core_range *r = arg;

    r->step->fn(r->model->workspace, r->model->payload, r->io, begin, end, worker);
}

/* One step of hadm_run; the number of the next one. */
static inline int64_t run_core_step(const struct hadm_context *model,
                                    const struct hadm_step *s, int64_t next,
                                    void *const *io)
{
    struct run_core_range range = {model, s, io};

    switch (s->kind) {
    case HADM_JUMP:
        return s->target;
    case HADM_BRANCH:
        return model->workspace[s->at] ? next : s->target;
    case HADM_BRANCH_IO:
        return ((const uint8_t *)io[s->n_units])[s->at] ? next : s->target;
    default:
        if (model->parallel_for && s->grain < s->n_units)
            model->parallel_for(model->pool, run_core_body, &range, s->n_units,
                                s->grain);
        else if (s->n_units > 0)
            run_core_body(&range, 0, s->n_units, 0);
        return next;
    }
}

/* What hadm_run does, with a look at the clock after each step.  A step inside a
 * loop adds up; one in a branch that is not taken stays 0. */
static inline void run_core_steps(const struct run_api *api,
                                  const struct hadm_context *model, void *const *io,
                                  double *step_us)
{
    const struct hadm_step *steps = model->model->steps;
    const int64_t n = model->model->n_steps;

    for (int64_t i = 0; i < n; i++)
        step_us[i] = 0;

    double before = api->wall_us();

    for (int64_t i = 0; i < n;) {
        const struct hadm_step *s = &steps[i];
        const int64_t next = run_core_step(model, s, i + 1, io);

        const double after = api->wall_us();

        step_us[i] += after - before;
        before = after;
        i = next;
    }
}

/* Runs set number `set` on `io` (inputs, outputs, dims) and notes the times. */
static inline void run_core_set(const struct run_api *api, const struct run_request *q,
                                const struct hadm_context *model, void *const *io,
                                int64_t set, uint8_t *response)
{
    double *wall = (double *)(response + q->wall_begin) + set * q->repeat;
    double *cpu = (double *)(response + q->cpu_begin) + set * q->repeat;
    double *step = (double *)(response + q->step_begin);

    for (int64_t i = 0; i < q->warm_up; i++)
        api->run(model, io, io + q->n_in);
    for (int64_t i = 0; i < q->repeat; i++) {
        const double cpu_start = api->cpu_us(), start = api->wall_us();

        api->run(model, io, io + q->n_in);
        wall[i] = api->wall_us() - start;
        cpu[i] = api->cpu_us() - cpu_start;
    }
    if (q->per_step && set == 0)
        for (int64_t i = 0; i < q->repeat; i++)
            run_core_steps(api, model, io, step + i * q->n_steps);
}

#endif /* HADMC_CODEGEN_RUNNER_CORE_H */
