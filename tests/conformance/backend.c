/* SPDX-License-Identifier: Apache-2.0 */
/* The ONNX backend cases through compiled code.
 *
 *   backend CASES_FOLDER HOST_WORK_FOLDER [--only SUBSTRING] [--every N] [--jobs N]
 *
 * For each case (node, simple, pytorch-converted, pytorch-operator): import without
 * its data, compile for the host, load the bundle in a child, run every test_data_set
 * and compare as ONNX's own runner does (relative 1e-3, absolute 1e-7; integers equal);
 * then run once more on perturbed inputs and compare with the reference interpreter.
 * When the import says that it needs a value of a shape-like input (rank 0 or 1, an
 * integer, or not the first input), that input is frozen from the data and the row
 * says so.
 *
 * Prints one row a case, tab-separated, sorted by name:
 *   name   pass | pass-frozen | out | fail   reason
 */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "codegen/compile_model.h"
#include "tests/conformance/onnx_case.h"

enum { MAX_CASES = 4096, MAX_IO = 64, MAX_SETS = 16, SECONDS_PER_CASE = 120 };

static const char *const suites[] = {"node", "simple", "pytorch-converted",
                                     "pytorch-operator"};

/* Outside what hadmcc is for; the first match names the reason. */
static const struct { const char *part, *reason; } out_by_decision[] = {
    {"test_adagrad", "training operator"},
    {"test_adam", "training operator"},
    {"test_momentum", "training operator"},
    {"test_nesterov_momentum", "training operator"},
    {"test_gradient_of", "training operator"},
    {"test_bernoulli", "random generator"},
    {"test_training_dropout_default", "random generator"},
    {"test_training_dropout_mask", "random generator"},
    {"test_strnormalizer", "strings"},
    {"test_strnorm", "strings"},
    {"test_cast_FLOAT_to_STRING", "strings"},
    {"test_cast_STRING_to_FLOAT", "strings"},
    {"test_castlike_FLOAT_to_STRING", "strings"},
    {"test_castlike_STRING_to_FLOAT", "strings"},
    {"test_equal_string", "strings"},
    {"test_string", "strings"},
};

struct test_case {
    char name[200];   /* suite/test_x */
    char folder[512];
    char verdict[16];
    char reason[400];
};

struct options {
    const char *cases, *work, *only;
    int every, jobs;
};

/* ---- data ---------------------------------------------------------------------- */

static float half_to_float(uint16_t h)
{
    const int exponent = h >> 10 & 31, mantissa = h & 1023;
    const float sign = h >> 15 ? -1.0f : 1.0f;

    if (exponent == 31)
        return mantissa ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * ldexpf((float)mantissa, -24);
    return sign * ldexpf((float)(mantissa + 1024), exponent - 25);
}

static double element(const struct tensor *t, int64_t i)
{
    switch (t->dtype) {
    case DT_f32:
        return ((const float *)t->data)[i];
    case DT_f64:
        return ((const double *)t->data)[i];
    case DT_f16:
        return half_to_float(((const uint16_t *)t->data)[i]);
    case DT_bf16: {
        const uint32_t bits = (uint32_t)((const uint16_t *)t->data)[i] << 16;
        float f;

        memcpy(&f, &bits, sizeof f);
        return f;
    }
    case DT_i64:
        return (double)((const int64_t *)t->data)[i];
    case DT_i32:
        return ((const int32_t *)t->data)[i];
    case DT_i16:
        return ((const int16_t *)t->data)[i];
    case DT_i8:
        return ((const int8_t *)t->data)[i];
    case DT_u16:
        return ((const uint16_t *)t->data)[i];
    case DT_u32:
        return ((const uint32_t *)t->data)[i];
    case DT_u64:
        return (double)((const uint64_t *)t->data)[i];
    default:
        return ((const uint8_t *)t->data)[i];
    }
}

static bool is_float(enum dtype d)
{
    return d == DT_f32 || d == DT_f64 || d == DT_f16 || d == DT_bf16;
}

/* NULL when equal within the tolerance, else a reason in `a`. */
static const char *difference(struct arena *a, const char *what, int index,
                              const struct tensor *got, const struct tensor *want,
                              double relative, double absolute)
{
    if (got->dtype != want->dtype)
        return arena_printf(a, "%s output %d is %s, expected %s", what, index,
                            dtype_info[got->dtype].name, dtype_info[want->dtype].name);
    bool same = got->rank == want->rank;

    for (int i = 0; same && i < got->rank; i++)
        same = got->dim[i] == want->dim[i];
    if (!same)
        return arena_printf(a, "%s output %d has another shape", what, index);
    if (want->dtype == DT_bf16)
        relative = 1.0 / 128; /* the files truncate; Cast rounds to nearest */
    for (int64_t i = 0, n = onnx_case_count(want); i < n; i++) {
        const double x = element(got, i), y = element(want, i);
        const bool equal = x == y || (isnan(x) && isnan(y))
                        || (is_float(want->dtype)
                            && fabs(x - y) <= absolute + relative * fabs(y));

        if (!equal)
            return arena_printf(a, "%s output %d element %lld is %.9g, expected %.9g",
                                what, index, (long long)i, x, y);
    }
    return NULL;
}

/* ---- one case ------------------------------------------------------------------- */

/* The tensors for the bundle's inputs: those that were not frozen, by name.  Old
 * files hold bfloat16 as uint16. */
static const char *pick_inputs(struct onnx_case *s, const struct bundle_meta *meta,
                               const struct onnx_data *data, struct tensor *in)
{
    for (int i = 0; i < meta->n_inputs; i++) {
        const struct tensor *t = onnx_case_find(data, meta->io[i].name);

        if (!t)
            return arena_printf(s->arena, "input '%s' has no data", meta->io[i].name);
        in[i] = *t;
        if (meta->io[i].dtype == DT_bf16 && t->dtype == DT_u16)
            in[i].dtype = DT_bf16;
    }
    return NULL;
}

static const char *run_set(struct onnx_case *s, const struct bundle_meta *meta,
                           const char *set)
{
    const char *path = arena_printf(s->arena, "%s/%s", s->folder, set);
    struct onnx_data data = {0}, want = {0};
    struct tensor in[MAX_IO];
    struct run_result got = {0};
    struct status *st = onnx_read_data(s->arena, s->model, path, "input", &data);

    if (!st)
        st = onnx_read_data(s->arena, s->model, path, "output", &want);
    if (st)
        return status_message(st);
    const char *why = pick_inputs(s, meta, &data, in);

    if (why)
        return why;
    st = bundle_run(s->arena, s->work, meta, in, &(struct run_options){.repeat = 1}, &got);
    if (st)
        return status_message(st);
    for (int i = 0; !why && i < meta->n_outputs; i++) {
        const struct tensor *t = onnx_case_find(&want, meta->io[meta->n_inputs + i].name);
        struct tensor expected;

        if (!t)
            return "an output has no data";
        expected = *t;
        if (got.outputs[i].dtype == DT_bf16 && expected.dtype == DT_u16)
            expected.dtype = DT_bf16;
        why = difference(s->arena, set, i, &got.outputs[i], &expected, 1e-3, 1e-7);
    }
    return why;
}

static const char *run_perturbed(struct onnx_case *s, const struct bundle_meta *meta)
{
    struct tensor in[MAX_IO];
    struct interpretation reference = {0};
    struct run_result got = {0};
    const char *why = pick_inputs(s, meta, &s->data, in);

    if (why)
        return why;
    for (int i = 0; i < meta->n_inputs; i++)
        in[i] = onnx_case_perturb(s->arena, &in[i]);
    struct status *st = bundle_run(s->arena, s->work, meta, in,
                                   &(struct run_options){.repeat = 1}, &got);
    if (!st)
        st = interpret(s->arena, s->graph, in, &reference);
    if (st)
        return status_message(st);
    for (int i = 0; i < s->graph->n_out; i++) {
        const struct tensor *want = &reference.by_id[s->graph->out[i]->id];

        why = difference(s->arena, "perturbed", i, &got.outputs[i], want, 1e-4, 1e-5);
        if (why)
            return why;
    }
    return NULL;
}

static void set_result(struct test_case *t, const char *verdict, const char *reason)
{
    snprintf(t->verdict, sizeof t->verdict, "%s", verdict);
    snprintf(t->reason, sizeof t->reason, "%s", reason);
    for (char *c = t->reason; *c; c++)
        if (*c == '\t' || *c == '\n')
            *c = ' ';
}

/* Words of a status without the part that names a file or a folder. */
static void fail_with(struct test_case *t, struct status *s)
{
    set_result(t, "fail", status_message(s));
    if (status_code(s) == INTERNAL)
        set_result(t, "crash", status_message(s));
}

static void run_case(struct test_case *t, const char *work)
{
    struct onnx_case s = {.arena = arena_create(), .folder = t->folder, .work = work};
    bool frozen;
    char set[32];

    s.model = arena_printf(s.arena, "%s/model.onnx", t->folder);
    struct status *st =
        onnx_read_data(s.arena, s.model,
                       arena_printf(s.arena, "%s/test_data_set_0", t->folder), "input",
                       &s.data);
    if (!st)
        st = onnx_case_import(&s, &frozen);
    if (st) {
        fail_with(t, st);
        return;
    }
    struct bundle_meta meta;
    const struct compile_options options = {
        .target = "host", .folder = work, .prefix = "m", .onnx = s.onnx};

    st = compile_model(s.model, &options);
    if (!st)
        st = bundle_read_meta(s.arena, work, &meta);
    if (st) {
        fail_with(t, st);
        return;
    }
    const char *why = NULL;

    for (int k = 0; !why && k < MAX_SETS; k++) {
        snprintf(set, sizeof set, "test_data_set_%d", k);
        if (access(arena_printf(s.arena, "%s/%s", t->folder, set), R_OK) != 0)
            break;
        why = run_set(&s, &meta, set);
    }
    if (!why)
        why = run_perturbed(&s, &meta);
    if (why)
        set_result(t, "fail", why);
    else
        set_result(t, frozen ? "pass-frozen" : "pass", "");
}

/* ---- all cases, each in a child --------------------------------------------------- */

static pid_t start_case(struct test_case *t, const char *work, int *read_end)
{
    int ends[2];

    if (pipe(ends) != 0)
        exit(2);
    const pid_t pid = fork();

    if (pid == 0) {
        close(ends[0]);
        setrlimit(RLIMIT_CPU, &(struct rlimit){SECONDS_PER_CASE, SECONDS_PER_CASE});
        alarm(2 * SECONDS_PER_CASE);
        run_case(t, work);
        const ssize_t n = write(ends[1], t, sizeof *t);
        _exit(n == (ssize_t)sizeof *t ? 0 : 3);
    }
    close(ends[1]);
    *read_end = ends[0];
    return pid;
}

static void finish_case(struct test_case *t, pid_t pid, int read_end)
{
    struct test_case got;
    size_t n = 0;
    int code;

    while (n < sizeof got) {
        const ssize_t k = read(read_end, (char *)&got + n, sizeof got - n);

        if (k <= 0)
            break;
        n += (size_t)k;
    }
    close(read_end);
    waitpid(pid, &code, 0);
    if (n == sizeof got)
        *t = got;
    else if (WIFSIGNALED(code))
        snprintf(t->reason, sizeof t->reason, "signal %d", WTERMSIG(code));
}

static const char *decided_out(const char *name)
{
    if (strcmp(name, "node/test_training_dropout") == 0)
        return "random generator";
    for (size_t i = 0; i < sizeof out_by_decision / sizeof out_by_decision[0]; i++)
        if (strstr(name, out_by_decision[i].part))
            return out_by_decision[i].reason;
    return NULL;
}

static int compare_cases(const void *a, const void *b)
{
    return strcmp(((const struct test_case *)a)->name, ((const struct test_case *)b)->name);
}

static int list_cases(const struct options *o, struct test_case *out)
{
    int n = 0;

    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        char folder[300];

        snprintf(folder, sizeof folder, "%s/%s", o->cases, suites[i]);
        DIR *d = opendir(folder);

        for (struct dirent *e; d && (e = readdir(d));) {
            struct test_case *t = &out[n];

            snprintf(t->name, sizeof t->name, "%.30s/%.160s", suites[i], e->d_name);
            snprintf(t->folder, sizeof t->folder, "%s/%.200s", folder, e->d_name);
            if (e->d_name[0] == '.' || n == MAX_CASES - 1
                || (o->only && !strstr(t->name, o->only)))
                continue;
            snprintf(t->verdict, sizeof t->verdict, "crash");
            n++;
        }
        if (d)
            closedir(d);
    }
    qsort(out, (size_t)n, sizeof *out, compare_cases);
    return n;
}

static void run_all(const struct options *o, struct test_case *cases, int n)
{
    enum { MAX_JOBS = 64 };
    struct { pid_t pid; int fd, index; } job[MAX_JOBS] = {{0}};

    for (int i = 0, at = 0; i < n + o->jobs; i++, at = (at + 1) % o->jobs) {
        if (job[at].pid)
            finish_case(&cases[job[at].index], job[at].pid, job[at].fd);
        job[at].pid = 0;
        if (i >= n)
            continue;
        const char *out = decided_out(cases[i].name);

        if (out) {
            set_result(&cases[i], "out", out);
            continue;
        }
        char work[600];

        snprintf(work, sizeof work, "%s/case%d", o->work, at);
        job[at].index = i;
        job[at].pid = start_case(&cases[i], work, &job[at].fd);
    }
}

static void report(const struct test_case *cases, int n)
{
    int passed = 0, failed = 0, out = 0;

    for (int i = 0; i < n; i++) {
        printf("%s\t%s\t%s\n", cases[i].name, cases[i].verdict, cases[i].reason);
        passed += !strncmp(cases[i].verdict, "pass", 4);
        out += !strcmp(cases[i].verdict, "out");
        failed += !strcmp(cases[i].verdict, "fail") || !strcmp(cases[i].verdict, "crash");
    }
    fprintf(stderr, "%d cases: %d pass, %d out by decision, %d fail\n", n, passed, out,
            failed);
}

int main(int argc, char **argv)
{
    static struct test_case cases[MAX_CASES];
    struct options o = {.every = 1, .jobs = 2};

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--only") && i + 1 < argc)
            o.only = argv[++i];
        else if (!strcmp(argv[i], "--every") && i + 1 < argc)
            o.every = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--jobs") && i + 1 < argc)
            o.jobs = atoi(argv[++i]);
        else if (!o.cases)
            o.cases = argv[i];
        else
            o.work = argv[i];
    }
    if (!o.cases || !o.work || o.jobs < 1 || o.every < 1) {
        fprintf(stderr, "usage: backend CASES WORK [--only S] [--every N] [--jobs N]\n");
        return 2;
    }
    mkdir(o.work, 0777);
    int n = list_cases(&o, cases);

    if (o.every > 1) { /* a fixed sample: every N-th of the sorted list */
        int kept = 0;

        for (int i = 0; i < n; i += o.every)
            cases[kept++] = cases[i];
        n = kept;
    }
    run_all(&o, cases, n);
    report(cases, n);
    return 0;
}
