/* SPDX-License-Identifier: Apache-2.0 */
/* One model, two implementations, in turn: ONNX Runtime and a compiled bundle.
 *
 *   ort_compare LIBONNXRUNTIME MODEL.onnx MODEL.so FOO.weights THREADS ROUNDS SEED
 *
 * Each round runs both for at least 30 ms (and 3 times); a round's figure is the
 * median inference, in CPU time of the calling thread with one thread and in wall
 * time with more.  Prints one JSON object with every round of both, and the
 * largest difference of the outputs relative to the largest output.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/ort_api.h"
#include "runtime/pool.h"

enum { MAX_SAMPLES = 100000, MAX_IO = 16, ROUND_US = 30000, PAUSE_US = 4000 };

struct compiled {
    void (*run)(const void *in, void *out);
    const void *in[MAX_IO];
    void *out[MAX_IO];
};

static double clock_us(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(2);
}

static int compare_double(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void run_ort(void *model)
{
    ort_run(model);
}

static void run_compiled(void *model)
{
    struct compiled *m = model;

    m->run(m->in, m->out);
}

static double one_round(void (*run)(void *), void *model, clockid_t id)
{
    static double sample[MAX_SAMPLES];
    const double begin = clock_us(CLOCK_MONOTONIC);
    int n = 0;

    usleep(PAUSE_US); /* let the other side's threads go to sleep */
    run(model);
    while (n < MAX_SAMPLES
           && (n < 3 || clock_us(CLOCK_MONOTONIC) - begin < ROUND_US + PAUSE_US)) {
        const double t = clock_us(id);

        run(model);
        sample[n++] = clock_us(id) - t;
    }
    qsort(sample, (size_t)n, sizeof *sample, compare_double);
    return sample[n / 2];
}

static void *symbol(void *library, const char *name)
{
    void *at = dlsym(library, name);

    if (!at)
        die(name, "not in the compiled model");
    return at;
}

static const void *map_file(const char *path, size_t *len)
{
    struct stat st;
    const int fd = open(path, O_RDONLY);

    if (fd < 0 || fstat(fd, &st) != 0)
        die(path, "cannot be read");
    *len = (size_t)st.st_size;
    return mmap(NULL, *len, PROT_READ, MAP_PRIVATE, fd, 0);
}

static void *pages(size_t n_bytes)
{
    void *at = aligned_alloc(4096, (n_bytes + 8191) / 4096 * 4096);

    if (!at)
        die("memory", "none left");
    return memset(at, 0, n_bytes);
}

/* Floats in [-1, 1), integers in [0, 100), which every vocabulary has. */
static void fill_input(void *to, size_t n_bytes, int type, unsigned seed)
{
    srand(seed);
    for (size_t i = 0; type == 1 && i < n_bytes / 4; i++)
        ((float *)to)[i] = (float)rand() / (float)RAND_MAX * 2.0f - 1.0f;
    for (size_t i = 0; type == 6 && i < n_bytes / 4; i++)
        ((int32_t *)to)[i] = rand() % 100;
    for (size_t i = 0; type == 7 && i < n_bytes / 8; i++)
        ((int64_t *)to)[i] = rand() % 100;
}

static double worst_difference(struct ort_model *o, const struct compiled *m)
{
    double worst = 0;

    for (int i = 0; i < ort_output_count(o); i++) {
        size_t n_bytes;
        const float *want = ort_output(o, i, &n_bytes), *got = m->out[i];
        double top = 0, apart = 0;

        for (size_t k = 0; k < n_bytes / 4; k++) {
            top = fmax(top, fabs((double)want[k]));
            apart = fmax(apart, fabs((double)want[k] - (double)got[k]));
        }
        worst = fmax(worst, top > 0 ? apart / top : apart);
    }
    return worst;
}

static void open_compiled(struct compiled *m, const char *so, const char *weights_path,
                          struct ort_model *o, int n_threads)
{
    void *library = dlopen(so, RTLD_NOW | RTLD_LOCAL);

    if (!library)
        die(so, dlerror());
    size_t (*workspace_bytes)(void);
    int (*open_model)(const void *, size_t, void *);
    int (*use_workers)(void *, void *, uint64_t);

    *(void **)&workspace_bytes = symbol(library, "shim_workspace_bytes");
    *(void **)&open_model = symbol(library, "shim_open");
    *(void **)&use_workers = symbol(library, "shim_use_workers");
    *(void **)&m->run = symbol(library, "shim_run");

    size_t len;
    const void *weights = map_file(weights_path, &len);
    const int status = open_model(weights, len, pages(workspace_bytes()));

    if (status)
        die(so, "foo_open refused");
    if (n_threads > 1) {
        hadm_parallel_for *function = hadm_pool_for;
        void *address;

        memcpy(&address, &function, sizeof address);
        if (use_workers(address, hadm_pool_create(n_threads), (uint64_t)n_threads))
            die(so, "not compiled for so many workers");
    }
    for (int i = 0; i < ort_input_count(o); i++)
        m->in[i] = ort_input(o, i);
    for (int i = 0; i < ort_output_count(o); i++) {
        size_t n_bytes;

        ort_output(o, i, &n_bytes);
        m->out[i] = pages(n_bytes);
    }
}

int main(int argc, char **argv)
{
    if (argc != 8)
        die("usage", "ort_compare LIB MODEL.onnx MODEL.so WEIGHTS THREADS ROUNDS SEED");

    const int n_threads = atoi(argv[5]), n_rounds = atoi(argv[6]);
    const unsigned seed = (unsigned)atoi(argv[7]);
    const clockid_t id = n_threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
    struct ort_model *o = ort_open(argv[1], argv[2], n_threads);
    struct compiled m = {0};

    for (int i = 0; i < ort_input_count(o); i++)
        fill_input(ort_input(o, i), ort_input_bytes(o, i), ort_input_type(o, i),
                   seed + (unsigned)i);
    ort_run(o);
    open_compiled(&m, argv[3], argv[4], o, n_threads);
    run_compiled(&m);

    printf("{\"ort\": \"%s\", \"threads\": %d, \"difference\": %.3g, \"rounds\": [",
           ort_version(o), n_threads, worst_difference(o, &m));
    for (int r = 0; r < n_rounds; r++) {
        double a, b;

        if (r % 2) {
            b = one_round(run_compiled, &m, id);
            a = one_round(run_ort, o, id);
        } else {
            a = one_round(run_ort, o, id);
            b = one_round(run_compiled, &m, id);
        }
        printf("%s[%.3f, %.3f]", r ? ", " : "", a, b);
    }
    printf("]}\n");
    fflush(stdout);
    _exit(0); /* ONNX Runtime's threads are still there */
}
