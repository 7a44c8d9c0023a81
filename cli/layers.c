/* SPDX-License-Identifier: Apache-2.0 */
/* A bundle against the interpreter, tensor by tensor: see layers.h. */
#include "cli/layers.h"

#include <string.h>

#include "cli/compare.h"
#include "cli/model.h"
#include "cli/progress.h"
#include "codegen/child.h"
#include "codegen/compile_model.h"
#include "support/scratch_folder.h"

/* A kernel may round differently from the interpreter: fused multiply-adds, other
 * orders of summation.  Healthy layers stay below 1e-6, wrong ones are far above. */
#define LAYER_TOLERANCE 1e-4

struct layers {
    const struct bundle_args *bundle;
    struct arena *arena;
    struct compile *compile;
    struct ir_graph *graph;
    struct program *program;
    struct isa isa;
    uint64_t cpu_features;
    char *folder; /* of the variant */
    struct interpretation expected;
    struct run_result got;
};

/* ---- the variant ----------------------------------------------------------- */

static struct status *build(struct layers *l, const char *model, const char *test_data)
{
    const struct bundle_meta *m = &l->bundle->meta;
    const struct target *t = l->bundle->run.target;
    const bool plain_c = !emit_is_machine_code(m->kind);
    const char *cpu = plain_c ? NULL : m->cpu; /* the report says "any" */
    struct compile_options o = {.target = m->target, .cpu = cpu, .kind = m->kind};
    const struct program_options po = {.keep_all = true, .max_workers = m->max_workers};

    if (!t)
        return FAIL(UNSUPPORTED, "this hadmcc has no target '%s'", m->target);
    if (!plain_c)
        RETURN_IF_FAIL(t->resolve(l->arena, cpu, &l->isa, &l->cpu_features));
    RETURN_IF_FAIL(model_options_of_bundle(l->arena, model, test_data, m, &o.onnx));
    RETURN_IF_FAIL(
        compile_graph(l->compile, model, &o, plain_c ? NULL : &l->isa, &l->graph));
    RETURN_IF_FAIL(program_build(l->compile, l->graph, plain_c ? NULL : &l->isa, &po,
                                 &l->program));
    planner_place(l->program);
    return OK;
}

static struct status *write_in_child(void *arg, FILE *out)
{
    const struct layers *l = arg;
    const struct bundle_meta *m = &l->bundle->meta;
    const struct bundle_options o = {
        .folder = l->folder,
        .prefix = m->prefix,
        .model_path = l->compile->model_name ? l->compile->model_name : m->prefix,
        .target = l->bundle->run.target,
        .isa = l->isa,
        .cpu_features = l->cpu_features,
        .kind = m->kind == EMIT_C ? EMIT_C : EMIT_OBJECT,
        .embed = m->embed,
        .max_workers = m->max_workers,
        .command_options = "verify --layers",
    };

    (void)out;
    return bundle_write(l->compile, l->program, &o);
}

static struct status *run_variant(struct layers *l)
{
    struct bundle_meta meta;
    struct run_options o = l->bundle->run;

    RETURN_IF_FAIL(child_run(l->arena, "compiling", write_in_child, l, NULL, NULL));
    RETURN_IF_FAIL(bundle_read_meta(l->arena, l->folder, &meta));
    o.repeat = 1;
    o.keep_workspace = true;
    return bundle_run(l->arena, l->folder, &meta, l->bundle->inputs, &o, &l->got);
}

/* The graph's inputs keep the order of the bundle's. */
static struct status *interpret_graph(struct layers *l)
{
    if (l->graph->n_in != l->bundle->meta.n_inputs)
        return FAIL(INVALID, "the model has %d inputs, the bundle %d: another model?",
                    l->graph->n_in, l->bundle->meta.n_inputs);
    return interpret(l->arena, l->graph, l->bundle->inputs, &l->expected);
}

/* ---- comparing ------------------------------------------------------------- */

/* The caller's memory number `index`: an input as it was given, an output as it came
 * back; NULL for the dims of a dynamic one. */
static const uint8_t *io_memory(const struct layers *l, int index)
{
    const int n_in = l->graph->n_in, n_out = l->graph->n_out;

    if (index < n_in)
        return l->bundle->inputs[index].data;
    return index < n_in + n_out ? l->got.outputs[index - n_in].data : NULL;
}

/* Where the variant left a value, through views; NULL for what lies elsewhere. */
static const uint8_t *find_memory(const struct layers *l, const struct ir_value *v)
{
    const struct program *p = l->program;

    for (int i = 0; i < p->n_tensors; i++) {
        int64_t offset = 0;

        if (p->tensors[i].value != v)
            continue;

        const struct ptensor *root = &p->tensors[program_root(p, i, &offset)];

        if (root->place == IN_WORKSPACE)
            return l->got.workspace + root->offset + offset;
        if (root->place == IN_IO && !(root->value && root->value->dynamic)) {
            const uint8_t *at = io_memory(l, root->io_index);

            return at ? at + offset : NULL;
        }
    }
    return NULL;
}

static bool find_tensor(const struct layers *l, const struct ir_value *v,
                        struct tensor *out)
{
    for (int i = 0; i < l->graph->n_out; i++)
        if (l->graph->out[i] == v) {
            *out = l->got.outputs[i];
            return true;
        }
    *out = l->expected.by_id[v->id]; /* type and shape */
    out->data = (void *)(uintptr_t)find_memory(l, v);
    return out->data != NULL;
}

struct tally {
    int n, n_bad;
    const struct ir_node *first_bad;
    struct difference first;
};

static void compare_value(const struct layers *l, const struct ir_node *n,
                          const struct ir_value *v, struct tally *t)
{
    struct tensor got;
    struct difference d;

    if (!l->expected.by_id[v->id].data || !find_tensor(l, v, &got))
        return;

    struct status *s = compare_tensors(&got, &l->expected.by_id[v->id], &d);
    const bool good = !s && compare_within(&d, LAYER_TOLERANCE);

    t->n++;
    printf("%-4s %-22s %-32s ", good ? "ok" : "BAD", op_info[n->op].name, v->name);
    if (s)
        printf("%s\n", status_message(s));
    else
        printf("%10.3g %10.3g\n", d.max_error, d.mean_error);
    if (!good && !t->n_bad++) {
        t->first_bad = n;
        t->first = d;
    }
    status_free(s);
}

static struct status *compare_all(const struct layers *l)
{
    struct tally t = {0};

    printf("\n%-4s %-22s %-32s %10s %10s\n", "", "operator", "tensor", "worst", "mean");
    for (const struct ir_node *n = l->graph->first; n; n = n->next)
        for (int i = 0; i < n->n_out; i++)
            if (n->out[i])
                compare_value(l, n, n->out[i], &t);
    printf("%d tensors compared, %d differ\n", t.n, t.n_bad);
    if (!t.n_bad)
        return OK;
    printf("first to differ: %s\n", ir_node_label(t.first_bad));
    return FAIL_AT(t.first_bad, NO_FIT,
                   "is the first that differs from the interpreter: "
                   "worst error %.3g",
                   t.first.max_error);
}

/* The variant proves something about the bundle only if both compute the same. */
static struct status *compare_with_shipped(const struct layers *l,
                                           const struct run_result *shipped)
{
    for (int i = 0; i < l->graph->n_out; i++) {
        struct difference d;

        RETURN_IF_FAIL(compare_tensors(&l->got.outputs[i], &shipped->outputs[i], &d));
        if (d.n_unequal)
            return FAIL(NO_FIT,
                        "output '%s' of the bundle differs from that of the "
                        "variant that keeps every tensor: worst error %.3g",
                        l->graph->out[i]->name, d.max_error);
    }
    printf("outputs are equal to those of the shipped library\n");
    return OK;
}

static struct status *compare_layers(struct layers *l, const char *model,
                                     const char *test_data,
                                     const struct run_result *shipped)
{
    progress("compiling the variant that keeps every tensor");
    RETURN_IF_FAIL(build(l, model, test_data));
    RETURN_IF_FAIL(run_variant(l));
    progress("running the interpreter");
    RETURN_IF_FAIL(interpret_graph(l));
    progress(NULL);
    RETURN_IF_FAIL(compare_all(l));
    return compare_with_shipped(l, shipped);
}

struct status *layers_compare(const struct bundle_args *b, const char *model,
                              const char *test_data, const struct run_result *shipped)
{
    struct layers l = {.bundle = b, .arena = b->arena};

    RETURN_IF_FAIL(scratch_folder_make(l.arena, &l.folder));
    l.compile = compile_create();

    struct status *s = compare_layers(&l, model, test_data, shipped);

    scratch_folder_remove(l.folder);
    compile_destroy(l.compile);
    return status_note(s, "while comparing '%s' layer by layer", b->folder);
}
