/* SPDX-License-Identifier: Apache-2.0 */
/* bundle_run: checks the inputs, lays out request and response, has one of the two
 * hosts run the model, reads the results. */
#define _GNU_SOURCE
#include "codegen/runner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int64_t io_bytes(const struct bundle_io *io)
{
    int64_t n = dtype_info[io->dtype].bytes;

    for (int i = 0; i < io->rank; i++)
        n *= io->dim[i];
    return n;
}

/* Hands out `bytes` of a growing block, 64-byte aligned. */
static int64_t take(int64_t *end, int64_t bytes)
{
    const int64_t at = *end;

    *end += (bytes + 63) / 64 * 64;
    return at;
}

/* ---- the inputs ------------------------------------------------------------ */

static void put_shape(struct text *t, enum dtype dtype, int rank, const int64_t *dim)
{
    text_printf(t, "%s[", dtype_info[dtype].name);
    for (int i = 0; i < rank; i++)
        text_printf(t, "%s%lld", i ? "," : "", (long long)dim[i]);
    text_puts(t, "]");
}

/* ONNX shapes of no meaning are common in test data: 1 and [1], so only the number
 * of elements counts. */
struct status *bundle_check_input(const struct bundle_io *io, const struct tensor *t)
{
    int64_t bytes = dtype_info[t->dtype].bytes;
    struct text want = {0};

    for (int i = 0; i < t->rank; i++)
        bytes *= t->dim[i];
    if (t->dtype == io->dtype && bytes == io_bytes(io))
        return OK;
    put_shape(&want, io->dtype, io->rank, io->dim);
    text_puts(&want, ", not ");
    put_shape(&want, t->dtype, t->rank, t->dim);

    struct status *s = FAIL(INVALID, "input '%s' is %s", io->name, want.bytes);

    text_free(&want);
    return s;
}

static struct status *check_inputs(const struct bundle_meta *m, int n_sets,
                                   const struct tensor *inputs)
{
    for (int set = 0; set < n_sets; set++)
        for (int i = 0; i < m->n_inputs; i++)
            RETURN_IF_FAIL(
                bundle_check_input(&m->io[i], &inputs[set * m->n_inputs + i]));
    return OK;
}

/* ---- request and response -------------------------------------------------- */

static int count_dynamic(const struct bundle_meta *m)
{
    int n = 0;

    for (int i = m->n_inputs; i < m->n_inputs + m->n_outputs; i++)
        n += m->io[i].dynamic;
    return n;
}

static void lay_out_io(struct run_request *q, const struct bundle_meta *m)
{
    int64_t n = 0, in_end = 0, out_end = 0;

    for (int i = 0; i < m->n_inputs; i++)
        q->io_at[n++] = take(&in_end, io_bytes(&m->io[i]));
    for (int i = m->n_inputs; i < m->n_inputs + m->n_outputs; i++)
        q->io_at[n++] = take(&out_end, io_bytes(&m->io[i]));
    for (int i = m->n_inputs; i < m->n_inputs + m->n_outputs; i++)
        if (m->io[i].dynamic)
            q->io_at[n++] = take(&out_end, m->io[i].rank * (int64_t)sizeof(int64_t));
    q->in_stride = in_end;
    q->out_stride = out_end;
}

static void lay_out_response(struct run_request *q)
{
    const int64_t times = q->n_sets * q->repeat * (int64_t)sizeof(double);
    const int64_t n_io = q->n_in + q->n_out + q->n_dims;
    int64_t end = 0;

    take(&end, sizeof(struct run_response));
    q->pointers_begin = take(&end, n_io * (int64_t)sizeof(void *));
    q->wall_begin = take(&end, times);
    q->cpu_begin = take(&end, times);
    q->step_begin = take(&end, q->per_step ? q->repeat * q->n_steps * 8 : 0);
    q->out_begin = take(&end, q->n_sets * q->out_stride);
    q->workspace_begin = take(&end, q->keep_workspace ? q->workspace_bytes : 0);
    q->response_bytes = end;
}

static struct run_request *make_request(struct arena *a, const struct bundle_meta *m,
                                        int n_sets, const struct run_options *o,
                                        const struct tensor *inputs)
{
    const int n_dims = count_dynamic(m);
    const int64_t head =
        (int64_t)sizeof(struct run_request)
        + (m->n_inputs + m->n_outputs + n_dims) * (int64_t)sizeof(int64_t);
    struct run_request *q = arena_alloc(a, (size_t)head);

    q->magic = RUN_MAGIC;
    q->n_in = m->n_inputs;
    q->n_out = m->n_outputs;
    q->n_dims = n_dims;
    q->n_sets = n_sets;
    q->warm_up = o->warm_up;
    q->repeat = o->repeat > 0 ? o->repeat : 1;
    q->n_workers = o->n_workers;
    q->n_steps = m->n_steps;
    q->per_step = o->per_step;
    q->keep_workspace = o->keep_workspace;
    q->workspace_bytes = m->workspace_bytes;
    q->weights_bytes = m->weights_bytes;
    lay_out_io(q, m);
    lay_out_response(q);

    int64_t end = head;

    end = (end + 63) / 64 * 64;
    q->in_begin = take(&end, n_sets * q->in_stride);
    q->request_bytes = end;

    /* Two blocks would do as well; one can be written to a file as it is. */
    uint8_t *all = arena_alloc(a, (size_t)end);

    memcpy(all, q, (size_t)head);
    for (int set = 0; set < n_sets; set++)
        for (int i = 0; i < m->n_inputs; i++)
            if (io_bytes(&m->io[i]))
                memcpy(all + q->in_begin + set * q->in_stride + q->io_at[i],
                       inputs[set * m->n_inputs + i].data, (size_t)io_bytes(&m->io[i]));
    return (struct run_request *)all;
}

static struct status *make_response(struct runner_job *job)
{
    const size_t len = (size_t)job->request->response_bytes;

    job->response_fd = memfd_create("response", MFD_CLOEXEC);
    if (job->response_fd >= 0 && ftruncate(job->response_fd, (off_t)len) == 0)
        job->response =
            mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, job->response_fd, 0);
    if (!job->response || job->response == MAP_FAILED) {
        job->response = NULL;
        return FAIL(NO_FIT, "no memory for %zu bytes of results", len);
    }
    return OK;
}

static void drop_response(struct runner_job *job)
{
    if (job->response)
        munmap(job->response, (size_t)job->request->response_bytes);
    if (job->response_fd >= 0)
        close(job->response_fd);
}

/* ---- results --------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void read_steps(struct runner_job *job, struct run_result *out)
{
    const struct run_request *q = job->request;
    const double *all = (const double *)(job->response + q->step_begin);
    double *column = arena_new_array(job->arena, double, q->repeat);

    out->n_steps = (int)q->n_steps;
    out->step_us = arena_new_array(job->arena, double, q->n_steps);
    out->step_name = arena_new_array(job->arena, const char *, q->n_steps);
    for (int64_t i = 0; i < q->n_steps; i++) {
        for (int64_t k = 0; k < q->repeat; k++)
            column[k] = all[k * q->n_steps + i];
        qsort(column, (size_t)q->repeat, sizeof *column, by_value);
        out->step_us[i] = column[q->repeat / 2];
        out->step_name[i] = job->meta->steps[i].name;
    }
}

/* The output as it is: a dynamic one has the dims that the model wrote. */
static struct status *read_output(struct runner_job *job, int64_t set, int i, int dims,
                                  struct tensor *out)
{
    const struct run_request *q = job->request;
    const struct bundle_io *io = &job->meta->io[q->n_in + i];
    const uint8_t *record = job->response + q->out_begin + set * q->out_stride;
    int64_t bytes = dtype_info[io->dtype].bytes;

    out->dtype = io->dtype;
    out->rank = io->rank;
    for (int d = 0; d < io->rank; d++) {
        out->dim[d] = io->dim[d];
        if (io->dynamic)
            out->dim[d] = ((const int64_t *)(record + q->io_at[dims]))[d];
        if (out->dim[d] < 0 || out->dim[d] > io->dim[d])
            return FAIL(INTERNAL, "output '%s' came back larger than its capacity",
                        io->name);
        bytes *= out->dim[d];
    }
    out->data = arena_copy(job->arena, record + q->io_at[q->n_in + i], (size_t)bytes);
    return OK;
}

static struct status *read_outputs(struct runner_job *job, struct run_result *out)
{
    const struct run_request *q = job->request;

    out->outputs = arena_new_array(job->arena, struct tensor, q->n_sets * q->n_out);
    for (int64_t set = 0; set < q->n_sets; set++) {
        int dims = (int)(q->n_in + q->n_out);

        for (int i = 0; i < q->n_out; i++) {
            RETURN_IF_FAIL(
                read_output(job, set, i, dims, &out->outputs[set * q->n_out + i]));
            dims += job->meta->io[q->n_in + i].dynamic;
        }
    }
    return OK;
}

static struct status *read_response(struct runner_job *job, struct run_result *out)
{
    const struct run_request *q = job->request;
    const struct run_response *r = (const struct run_response *)job->response;
    const size_t times = (size_t)(q->n_sets * q->repeat) * sizeof(double);

    if (!r->done)
        return FAIL(INTERNAL, "the compiled model ended early");
    if (r->status == HADM_WRONG_CPU)
        return FAIL(INVALID, "the bundle '%s' is for '%s': %s", job->folder, job->meta->cpu,
                    hadm_strerror(HADM_WRONG_CPU));
    if (r->status != HADM_OK)
        return FAIL(INVALID, "the bundle '%s' cannot be opened: %s", job->folder,
                    hadm_strerror((enum hadm_status)r->status));
    if (r->n_steps != q->n_steps)
        return FAIL(INVALID, "the report of '%s' belongs to another library",
                    job->folder);
    out->wall_us = arena_copy(job->arena, job->response + q->wall_begin, times);
    out->cpu_us = arena_copy(job->arena, job->response + q->cpu_begin, times);
    out->open_us = r->open_us;
    out->peak_rss_bytes = r->peak_rss_bytes;
    if (q->per_step)
        read_steps(job, out);
    if (q->keep_workspace)
        out->workspace = arena_copy(job->arena, job->response + q->workspace_begin,
                                    (size_t)q->workspace_bytes);
    return read_outputs(job, out);
}

/* ---------------------------------------------------------------------------- */

static struct status *run_job(struct runner_job *job, struct run_result *out)
{
    struct runner_objects objects;

    RETURN_IF_FAIL(make_response(job));
    RETURN_IF_FAIL(runner_load_objects(job, &objects));
    out->emulated = !runner_is_native(objects.machine);
    if (out->emulated || job->options->as_program)
        RETURN_IF_FAIL(runner_run_program(job, &objects));
    else
        RETURN_IF_FAIL(runner_run_native(job, &objects));
    return read_response(job, out);
}

struct status *bundle_run_many(struct arena *a, const char *folder,
                               const struct bundle_meta *meta, int n_sets,
                               const struct tensor *inputs, const struct run_options *o,
                               struct run_result *out)
{
    struct runner_job job = {
        .arena = a, .folder = folder, .meta = meta, .options = o, .response_fd = -1};

    memset(out, 0, sizeof *out);
    if (meta->kind == EMIT_PLAN)
        return FAIL(UNSUPPORTED, "the bundle '%s' is a plan and a report; it has no code"
                                 " to run", folder);
    RETURN_IF_FAIL(check_inputs(meta, n_sets, inputs));
    if (o->n_workers > meta->max_workers)
        return FAIL(BAD_USAGE, "this bundle was compiled for at most %d worker%s: "
                    "compile with --workers for more",
                    meta->max_workers, meta->max_workers == 1 ? "" : "s");
    job.request = make_request(a, meta, n_sets, o, inputs);

    struct status *s = run_job(&job, out);

    drop_response(&job);
    return status_note(s, "while running the bundle '%s'", folder);
}

struct status *bundle_run(struct arena *a, const char *folder,
                          const struct bundle_meta *meta, const struct tensor *inputs,
                          const struct run_options *o, struct run_result *out)
{
    return bundle_run_many(a, folder, meta, 1, inputs, o, out);
}
