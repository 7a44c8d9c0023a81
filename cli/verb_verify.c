/* SPDX-License-Identifier: Apache-2.0 */
/* hadmcc verify: does the compiled library compute what the model means? */
#include <math.h>
#include <string.h>

#include "cli/bundle_args.h"
#include "cli/compare.h"
#include "cli/json_out.h"
#include "cli/layers.h"
#include "cli/progress.h"
#include "cli/test_data.h"

#define OPTIONS_FILE "cli/verb_verify.def"
#include "cli/option_rows.h"

#define DEFAULT_TOLERANCE 1e-4

struct verdict {
    const char *name;
    struct difference d;
    const char *reason; /* of another type or shape; NULL: d is valid */
    bool good;
};

static const char *output_name(const struct bundle_meta *m, int i)
{
    return m->io[m->n_inputs + i].name;
}

static struct verdict judge(struct arena *a, const char *name, const struct tensor *got,
                            const struct tensor *expected, double tolerance)
{
    struct verdict v = {.name = name};
    struct status *s = compare_tensors(got, expected, &v.d);

    if (s)
        v.reason = arena_strdup(a, status_message(s));
    v.good = !s && compare_within(&v.d, tolerance);
    status_free(s);
    return v;
}

/* ---- printing -------------------------------------------------------------- */

static void print_verdict(const struct verdict *v)
{
    printf("%-4s %s: ", v->good ? "ok" : "BAD", v->name);
    if (v->reason)
        printf("%s\n", v->reason);
    else if (v->d.is_float)
        printf("worst error %.3g, mean %.3g (of %.6g); at %lld: %.9g, expected %.9g\n",
               v->d.max_error, v->d.mean_error, v->d.scale, (long long)v->d.worst_at,
               v->d.worst_got, v->d.worst_expected);
    else if (v->d.n_unequal)
        printf("%lld elements differ, worst error %.0f at %lld\n",
               (long long)v->d.n_unequal, v->d.max_error, (long long)v->d.worst_at);
    else
        printf("equal\n");
}

static json_t *json_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *json_verdict(const struct verdict *v)
{
    json_t *row = json_object();

    json_object_set_new(row, "name", json_string(v->name));
    json_object_set_new(row, "ok", json_boolean(v->good));
    if (v->reason) {
        json_object_set_new(row, "reason", json_string(v->reason));
        return row;
    }
    json_object_set_new(row, "max_error", json_number(v->d.max_error));
    json_object_set_new(row, "mean_error", json_number(v->d.mean_error));
    json_object_set_new(row, "scale", json_real(v->d.scale));
    json_object_set_new(row, "unequal", json_integer(v->d.n_unequal));
    json_object_set_new(row, "worst_at", json_integer(v->d.worst_at));
    return row;
}

static struct status *print(const struct verdict *all, int n, double tolerance,
                            bool json)
{
    json_t *list, *result;
    int bad = 0;

    for (int i = 0; i < n; i++)
        bad += !all[i].good;
    if (!json) {
        for (int i = 0; i < n; i++)
            print_verdict(&all[i]);
        return OK;
    }
    list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_verdict(&all[i]));
    result = json_object();
    json_object_set_new(result, "ok", json_boolean(bad == 0));
    json_object_set_new(result, "tolerance", json_real(tolerance));
    json_object_set_new(result, "outputs", list);
    return json_out_print(result);
}

/* ---- outputs --------------------------------------------------------------- */

static struct status *load_expected(struct arena *a, const struct args *o,
                                    const struct bundle_meta *m, struct test_data *out)
{
    const char *kind = o->reference ? o->reference : "output";

    RETURN_IF_FAIL(test_data_load(a, o->test_data, kind, out));
    if (out->n != m->n_outputs)
        return FAIL(INVALID, "'%s' holds %d files %s_i.pb, the bundle has %d output%s",
                    o->test_data, out->n, kind, m->n_outputs,
                    m->n_outputs == 1 ? "" : "s");
    return OK;
}

static struct status *judge_all(const struct verdict *all, int n, const char *folder)
{
    int bad = 0;

    for (int i = 0; i < n; i++)
        bad += !all[i].good;
    if (bad)
        return FAIL(NO_FIT, "%d of %d outputs of '%s' are outside the tolerance", bad,
                    n, folder);
    return OK;
}

static struct status *verify_outputs(struct bundle_args *b, const struct args *o,
                                     struct run_result *r)
{
    const double tolerance = o->tolerance > 0 ? o->tolerance : DEFAULT_TOLERANCE;
    const int n = b->meta.n_outputs;
    struct verdict *all = arena_new_array(b->arena, struct verdict, n + 1);
    struct test_data expected;

    RETURN_IF_FAIL(load_expected(b->arena, o, &b->meta, &expected));
    RETURN_IF_FAIL(bundle_run(b->arena, b->folder, &b->meta, b->inputs, &b->run, r));
    for (int i = 0; i < n; i++)
        all[i] = judge(b->arena, output_name(&b->meta, i), &r->outputs[i],
                       &expected.at[i].value, tolerance);
    RETURN_IF_FAIL(print(all, n, tolerance, o->json));
    return judge_all(all, n, b->folder);
}

/* ---------------------------------------------------------------------------- */

static struct status *verify(struct arena *a, const char *folder, const struct args *o)
{
    struct bundle_args b;
    struct run_result r;

    if (!o->test_data)
        return FAIL(BAD_USAGE, "hadmcc verify needs --test-data DIR");
    if (o->layers && !o->model)
        return FAIL(BAD_USAGE, "--layers needs --model FILE");
    RETURN_IF_FAIL(bundle_args_load(a, "verify", folder, o->test_data, &b));
    b.run.repeat = 1;
    b.run.n_workers = o->workers;
    b.run.timeout_s = o->timeout;

    struct status *s = verify_outputs(&b, o, &r);

    /* Which layer is most interesting when the outputs are wrong. */
    if (!o->layers || (s && status_code(s) != NO_FIT))
        return s;

    struct status *layers = layers_compare(&b, o->model, o->test_data, &r);

    if (!s)
        return layers;
    status_free(layers);
    return s;
}

static struct status *run(const char *folder, const void *args)
{
    struct arena *a = arena_create();
    struct status *s = verify(a, folder, args);

    progress(NULL);
    arena_destroy(a);
    return s;
}

const struct verb verb_verify = {
    .name = "verify",
    .operand = "BUNDLE",
    .about =
        "Run a bundle on recorded inputs and compare its outputs with the recorded\n"
        "ones.  Floats must be within the tolerance, integers equal.",
    .example = "hadmcc verify keyword.orin --test-data test_data_set_0",
    .options = options,
    .n_options = N_OPTIONS,
    .args_size = sizeof(struct args),
    .run = run,
};
