/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the very objects that ship in this process's child: LLVM's ORC links them
 * into memory.
 *
 * A run that is not timed gets inputs, outputs and workspace that end at an
 * unreadable page, and outputs and workspace full of a pattern: a kernel that
 * reads or writes past the end crashes, one that forgets an element is seen. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <llvm-c/Core.h>
#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <llvm-c/Target.h>

#include "codegen/runner.h"
#include "runtime/pool.h"
#include "support/workers.h"

enum { PATTERN = 0xa5 };

static double clock_us(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static double wall_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

static double cpu_us(void)
{
    return clock_us(CLOCK_PROCESS_CPUTIME_ID);
}

/* ---- loading --------------------------------------------------------------- */

static struct status *llvm_failed(LLVMErrorRef error, const char *what)
{
    char *words = LLVMGetErrorMessage(error);
    struct status *s = FAIL(INTERNAL, "LLVM cannot %s: %s", what, words);

    LLVMDisposeErrorMessage(words);
    return s;
}

static struct status *create_jit(LLVMOrcLLJITRef *out)
{
    LLVMErrorRef error;
    LLVMOrcDefinitionGeneratorRef libc = NULL;

    LLVMInitializeNativeTarget();
    LLVMInitializeNativeAsmPrinter();
    if ((error = LLVMOrcCreateLLJIT(out, NULL)))
        return llvm_failed(error, "start its loader");
    error = LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(
        &libc, LLVMOrcLLJITGetGlobalPrefix(*out), NULL, NULL);
    if (error)
        return llvm_failed(error, "see the process's symbols");
    LLVMOrcJITDylibAddGenerator(LLVMOrcLLJITGetMainJITDylib(*out), libc);
    return OK;
}

/* What is no object of this bundle is the file's fault. */
static struct status *cannot_load(const struct runner_objects *o, LLVMErrorRef error)
{
    char *words = LLVMGetErrorMessage(error);
    struct status *s = FAIL(INVALID, "'%s' cannot be loaded: %s", o->from, words);

    LLVMDisposeErrorMessage(words);
    return s;
}

static struct status *find_symbol(LLVMOrcLLJITRef jit, const struct runner_job *job,
                                  const struct runner_objects *o, const char *name,
                                  void **out)
{
    LLVMOrcExecutorAddress at = 0;
    LLVMErrorRef error = LLVMOrcLLJITLookup(
        jit, &at, arena_printf(job->arena, "%s_%s", job->meta->prefix, name));

    if (error)
        return cannot_load(o, error);
    *out = (void *)(uintptr_t)at;
    return OK;
}

static struct status *load(const struct runner_job *job, const struct runner_objects *o,
                           struct run_api *api, const void **weights)
{
    LLVMOrcLLJITRef jit = NULL; /* lives as long as this process */
    void *open_at = NULL, *workers_at = NULL, *run_at = NULL, *weights_at = NULL;

    RETURN_IF_FAIL(create_jit(&jit));
    for (int i = 0; i < o->n; i++) {
        LLVMMemoryBufferRef b = LLVMCreateMemoryBufferWithMemoryRange(
            o->at[i].bytes.at, o->at[i].bytes.len, o->at[i].name, false);
        LLVMErrorRef error =
            LLVMOrcLLJITAddObjectFile(jit, LLVMOrcLLJITGetMainJITDylib(jit), b);

        if (error)
            return cannot_load(o, error);
    }
    RETURN_IF_FAIL(find_symbol(jit, job, o, "open", &open_at));
    RETURN_IF_FAIL(find_symbol(jit, job, o, "run", &run_at));
    if (job->request->n_workers > 1)
        RETURN_IF_FAIL(find_symbol(jit, job, o, "use_workers", &workers_at));
    if (job->meta->embed)
        RETURN_IF_FAIL(find_symbol(jit, job, o, "weights", &weights_at));
    /* ISO C has no cast between the two kinds of pointers; POSIX says they are alike.
     */
    memcpy(&api->open, &open_at, sizeof open_at);
    memcpy(&api->use_workers, &workers_at, sizeof workers_at);
    memcpy(&api->run, &run_at, sizeof run_at);
    *weights = weights_at;
    return OK;
}

static struct status *map_weights(const struct runner_job *job, const void **out)
{
    const char *path =
        arena_printf(job->arena, "%s/%s.weights", job->folder, job->meta->prefix);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    void *at = MAP_FAILED;

    if (fd >= 0 && fstat(fd, &st) == 0) {
        if (st.st_size == 0)
            return FAIL(INVALID, "'%s' is empty", path);
        job->request->weights_bytes = st.st_size;
        at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    if (at == MAP_FAILED)
        return FAIL(IO_ERROR, "cannot map '%s': %s", path, strerror(errno));
    close(fd);
    *out = at;
    return OK;
}

/* ---- memory ---------------------------------------------------------------- */

/* `bytes` that end at an unreadable page, aligned to `align`. */
static struct status *guarded(int64_t bytes, int64_t align, uint8_t **out)
{
    const int64_t page = sysconf(_SC_PAGESIZE);
    const int64_t body = (bytes + page - 1) / page * page;
    uint8_t *at = mmap(NULL, (size_t)(body + page), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED || mprotect(at + body, (size_t)page, PROT_NONE) != 0)
        return FAIL(NO_FIT, "no memory for %lld bytes", (long long)bytes);
    at += (body - bytes) / align * align;
    memset(at, PATTERN, (size_t)bytes);
    *out = at;
    return OK;
}

static struct status *plain(int64_t bytes, uint8_t **out)
{
    uint8_t *at = mmap(NULL, (size_t)bytes + 64, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        return FAIL(NO_FIT, "no memory for a workspace of %lld bytes",
                    (long long)bytes);
    *out = at;
    return OK;
}

static struct status *get_workspace(const struct runner_job *job, bool timed,
                                    uint8_t **out)
{
    const struct run_request *q = job->request;

    if (timed)
        return plain(q->workspace_bytes, out);
    return guarded(q->workspace_bytes, 64, out);
}

/* ---- running --------------------------------------------------------------- */

/* Bytes and element size of operand i: inputs, outputs, then dims. */
static void extent(const struct runner_job *job, int64_t i, int64_t *bytes,
                   int64_t *align)
{
    const struct bundle_meta *m = job->meta;
    int64_t k = m->n_inputs + m->n_outputs;

    if (i < k) {
        *align = *bytes = dtype_info[m->io[i].dtype].bytes;
        for (int d = 0; d < m->io[i].rank; d++)
            *bytes *= m->io[i].dim[d];
        return;
    }
    *align = *bytes = sizeof(int64_t);
    for (int o = m->n_inputs; o < m->n_inputs + m->n_outputs; o++)
        if (m->io[o].dynamic && k++ == i)
            *bytes *= m->io[o].rank;
}

static uint8_t *place_of(const struct runner_job *job, int64_t set, int64_t i)
{
    const struct run_request *q = job->request;

    if (i < q->n_in)
        return (uint8_t *)job->request + q->in_begin + set * q->in_stride + q->io_at[i];
    return job->response + q->out_begin + set * q->out_stride + q->io_at[i];
}

/* One set of inputs on guarded memory, results copied out. */
static struct status *run_guarded(const struct runner_job *job,
                                  const struct run_api *api,
                                  const struct hadm_context *model, int64_t set)
{
    const struct run_request *q = job->request;
    const int64_t n_io = q->n_in + q->n_out + q->n_dims;
    void **io = arena_new_array(job->arena, void *, n_io + 1);
    int64_t bytes, align;

    for (int64_t i = 0; i < n_io; i++) {
        uint8_t *at;

        extent(job, i, &bytes, &align);
        RETURN_IF_FAIL(guarded(bytes, align, &at));
        if (i < q->n_in && bytes)
            memcpy(at, place_of(job, set, i), (size_t)bytes);
        io[i] = at;
    }
    run_core_set(api, q, model, io, set, job->response);
    for (int64_t i = q->n_in; i < n_io; i++) {
        extent(job, i, &bytes, &align);
        if (bytes)
            memcpy(place_of(job, set, i), io[i], (size_t)bytes);
    }
    return OK;
}

/* `io` has room for a pointer per operand. */
static void run_plain(const struct runner_job *job, const struct run_api *api,
                      const struct hadm_context *model, void **io, int64_t set)
{
    const struct run_request *q = job->request;
    const int64_t n_io = q->n_in + q->n_out + q->n_dims;

    for (int64_t i = 0; i < n_io; i++)
        io[i] = place_of(job, set, i);
    run_core_set(api, q, model, io, set, job->response);
}

/* Sets of inputs on all cores: a context, a workspace and pointers per thread. */
struct crew {
    const struct runner_job *job;
    const struct run_api *api;
    struct hadm_context *model;
    void ***io;
};

static void run_task(void *arg, int64_t set, int worker)
{
    const struct crew *c = arg;

    run_plain(c->job, c->api, &c->model[worker], c->io[worker], set);
}

static struct status *run_by_crew(const struct runner_job *job,
                                  const struct run_api *api, const void *weights)
{
    const struct run_request *q = job->request;
    const int64_t n_io = q->n_in + q->n_out + q->n_dims;
    struct workers *w = workers_create(0);
    const int n = workers_count(w);
    struct crew c = {job, api, arena_new_array(job->arena, struct hadm_context, n),
                     arena_new_array(job->arena, void **, n)};
    struct status *s = OK;

    for (int i = 0; i < n && !s; i++) {
        uint8_t *workspace = NULL;

        c.io[i] = arena_new_array(job->arena, void *, n_io + 1);
        s = plain(q->workspace_bytes, &workspace);
        if (!s)
            api->open(&c.model[i], weights, (size_t)q->weights_bytes, workspace,
                      (size_t)q->workspace_bytes, 0); /* as it did before */
    }
    if (!s)
        workers_run(w, run_task, &c, q->n_sets);
    workers_destroy(w);
    return s;
}

/* All sets on one thread: the bundle's own threads, if any, share each inference. */
static struct status *run_in_turn(const struct runner_job *job,
                                  const struct run_api *api,
                                  const struct hadm_context *model, bool timed)
{
    const struct run_request *q = job->request;
    void **io = (void **)(job->response + q->pointers_begin);

    for (int64_t set = 0; set < q->n_sets; set++) {
        if (timed)
            run_plain(job, api, model, io, set);
        else
            RETURN_IF_FAIL(run_guarded(job, api, model, set));
    }
    return OK;
}

struct native_call {
    const struct runner_job *job;
    const struct runner_objects *objects;
};

static struct status *run_in_child(void *arg, FILE *out)
{
    const struct native_call *call = arg;
    const struct runner_job *job = call->job;
    const struct run_request *q = job->request;
    struct run_response *r = (struct run_response *)job->response;
    struct run_api api = {
        .wall_us = wall_us, .cpu_us = cpu_us, .parallel_for = hadm_pool_for};
    struct hadm_context model = {0};
    const void *weights = NULL;
    uint8_t *workspace = NULL;
    const bool timed = q->repeat > 1 || q->n_sets > 1;

    (void)out;
    RETURN_IF_FAIL(load(job, call->objects, &api, &weights));
    if (!weights)
        RETURN_IF_FAIL(map_weights(job, &weights));
    RETURN_IF_FAIL(get_workspace(job, timed, &workspace));
    if (q->n_workers > 1 && !(api.pool = hadm_pool_create((int)q->n_workers)))
        return FAIL(NO_FIT, "cannot start %d threads", (int)q->n_workers);
    if (run_core_open(&api, q, weights, workspace, &model, r)
        && r->n_steps == q->n_steps)
        RETURN_IF_FAIL(job->options->all_cores && timed
                           ? run_by_crew(job, &api, weights)
                           : run_in_turn(job, &api, &model, timed));
    if (q->keep_workspace)
        memcpy(job->response + q->workspace_begin, workspace,
               (size_t)q->workspace_bytes);
    r->done = 1;
    return OK;
}

struct status *runner_run_native(struct runner_job *job, const struct runner_objects *o)
{
    struct native_call call = {job, o};
    const struct child_options options = {.timeout_s = job->options->timeout_s};

    return child_run(job->arena, "the compiled model", run_in_child, &call, &options,
                     NULL);
}
