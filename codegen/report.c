/* SPDX-License-Identifier: Apache-2.0 */
/* foo.report.json: everything about a bundle that a tool or a person may ask for.
 * docs/report.md explains the fields; bundle_meta.c reads back what a runner needs. */
#include <math.h>
#include <string.h>

#include <jansson.h>
#include <llvm-c/Core.h>

#include "codegen/bundle.h"
#include "hal/cost.h"
#include "support/json_lines.h"

/* ---- values ---------------------------------------------------------------------- */

/* Names from a model may hold any bytes; JSON wants UTF-8. */
static json_t *text_value(const char *words)
{
    json_t *value = json_string(words ? words : "");

    if (value)
        return value;

    char *plain = strdup(words);

    for (char *p = plain; p && *p; p++)
        if (*p & 0x80)
            *p = '?';
    value = json_string(plain ? plain : "");
    free(plain);
    return value;
}

static void put_text(json_t *object, const char *key, const char *words)
{
    json_object_set_new(object, key, text_value(words));
}

static void put_number(json_t *object, const char *key, int64_t value)
{
    json_object_set_new(object, key, json_integer(value));
}

static void put_hash(json_t *object, const char *key, const uint8_t hash[32])
{
    json_object_set_new(object, key, json_lines_hash(hash));
}

/* ---- how exact an output is ------------------------------------------------------ */

/* Whether the step's result may differ in the last bits between processors: sums of
 * products in an order of the code generator's choice (numerics: class F). */
static bool reorders(const struct step *s)
{
    return s->kind == STEP_CONV || s->kind == STEP_DEPTHWISE || s->kind == STEP_MATMUL
        || (s->kind == STEP_POOL && !s->u.conv.pool_max);
}

/* touched[root of tensor]: holds something that depends on such a step.  Loops need
 * a second round. */
static bool *find_class_f(const struct bundle_job *job)
{
    const struct program *p = job->program;
    bool *touched = arena_new_array(job->arena, bool, p->n_tensors + 1);

    for (int round = 0; round < 2; round++)
        for (int i = 0; i < p->n_steps; i++) {
            const struct step *s = &p->steps[i];
            bool f = reorders(s);

            for (int k = 0; k < s->n_operands; k++)
                if (s->operands[k].tensor >= 0 && !s->operands[k].written)
                    f |= touched[program_root(p, s->operands[k].tensor, NULL)];
            for (int k = 0; f && k < s->n_operands; k++)
                if (s->operands[k].tensor >= 0 && s->operands[k].written)
                    touched[program_root(p, s->operands[k].tensor, NULL)] = true;
        }
    return touched;
}

static const char *numerics_class(const struct bundle_job *job, const bool *class_f, int io)
{
    const struct program *p = job->program;

    for (int t = 0; t < p->n_tensors; t++)
        if (p->tensors[t].place == IN_IO && p->tensors[t].io_index == io)
            return class_f[program_root(p, t, NULL)] ? "F" : "E";
    return "E";
}

/* ---- parts ----------------------------------------------------------------------- */

static json_t *door(const struct bundle_job *job, int i)
{
    const struct ir_value *v = bundle_door(job, i);
    json_t *o = json_object(), *dims = json_array();

    put_text(o, "name", job->names->onnx[i]);
    put_text(o, "c_name", job->names->io[i]);
    put_text(o, "dtype", dtype_info[v->dtype].name);
    for (int d = 0; d < v->rank; d++)
        json_array_append_new(dims, json_integer(v->dim[d]));
    json_object_set_new(o, "dims", dims);
    put_number(o, "bytes", ir_bytes(v));
    return o;
}

static void put_doors(json_t *report, const struct bundle_job *job)
{
    const struct ir_graph *g = job->program->graph;
    const bool *class_f = find_class_f(job);
    json_t *inputs = json_array(), *outputs = json_array();

    for (int i = 0; i < g->n_in; i++)
        json_array_append_new(inputs, door(job, i));
    for (int i = g->n_in; i < g->n_in + g->n_out; i++) {
        json_t *o = door(job, i);

        json_object_set_new(o, "dynamic", json_boolean(bundle_door(job, i)->dynamic));
        put_text(o, "class", numerics_class(job, class_f, i));
        json_array_append_new(outputs, o);
    }
    json_object_set_new(report, "inputs", inputs);
    json_object_set_new(report, "outputs", outputs);
}

static const char *step_kernel(const struct step *s)
{
    static const char *const names[] = {
        [STEP_CHAIN] = "chain", [STEP_CONV] = "conv", [STEP_DEPTHWISE] = "depthwise",
        [STEP_MATMUL] = "matmul", [STEP_POOL] = "pool", [STEP_INT_CONV] = "int conv",
        [STEP_INT_DEPTHWISE] = "int depthwise", [STEP_INT_POOL] = "int pool",
        [STEP_INT_ELEMENTS] = "int elements",
        [STEP_BRANCH] = "branch", [STEP_JUMP] = "jump",
    };

    return s->kind == STEP_LIBRARY ? s->u.call->kernel->name : names[s->kind];
}

static json_t *step(const struct step *s, const struct step_cost *cost)
{
    json_t *o = json_object(), *reads = json_array(), *writes = json_array();

    put_text(o, "name", s->name);
    put_text(o, "node", s->node ? s->node->name : "");
    put_text(o, "covers", s->covers);
    json_object_set_new(o, "emitted", json_boolean(s->kind != STEP_LIBRARY));
    put_text(o, "kernel", step_kernel(s));
    put_number(o, "flops", s->flops);
    if (cost) {
        put_number(o, "modelled_ns", cost->ns);
        put_text(o, "kind", work_kind_names[cost->kind]);
    }
    put_number(o, "units", s->n_units);
    put_number(o, "grain", s->grain);
    put_number(o, "scratch_bytes", s->scratch_bytes);
    for (int k = 0; k < s->n_operands; k++)
        if (s->operands[k].tensor >= 0)
            json_array_append_new(s->operands[k].written ? writes : reads,
                                  json_integer(s->operands[k].tensor));
    json_object_set_new(o, "reads", reads);
    json_object_set_new(o, "writes", writes);
    return o;
}

static json_t *tensor(const struct ptensor *t)
{
    static const char *const places[] = {"workspace", "weights", "caller"};
    json_t *o = json_object();

    put_text(o, "name", t->name);
    put_text(o, "place", places[t->place]);
    put_number(o, "bytes", t->bytes);
    if (t->alias_of >= 0) {
        put_number(o, "alias_of", t->alias_of);
        put_number(o, "alias_offset", t->alias_offset);
    } else if (t->place == IN_IO) {
        put_number(o, "io", t->io_index);
    } else {
        put_number(o, "offset", t->offset);
    }
    if (t->place == IN_WORKSPACE && t->alias_of < 0) {
        put_number(o, "first_step", t->first);
        put_number(o, "last_step", t->last);
    }
    return o;
}

static void put_modelled(json_t *report, const struct device *d,
                         const struct step_cost *sum)
{
    json_t *o = json_object();

    put_text(o, "device", d->name);
    put_text(o, "origin", cost_origin_names[COST_MODELLED]);
    put_number(o, "time_ns", sum->ns);
    if (cost_has_energy(d))
        put_number(o, "energy_nj", llround(fmin(sum->energy_j * 1e9, 1e18)));
    json_object_set_new(report, "modelled", o);
}

static void put_program(json_t *report, const struct bundle_job *job)
{
    const struct program *p = job->program;
    const struct step_cost *costs = report_costs(job);
    json_t *steps = json_array(), *tensors = json_array(), *memory = json_object();

    for (int i = 0; i < p->n_steps; i++)
        json_array_append_new(steps, step(&p->steps[i], costs ? &costs[i] : NULL));
    if (costs)
        put_modelled(report, job->options->device, &costs[p->n_steps]);
    for (int i = 0; i < p->n_tensors; i++)
        json_array_append_new(tensors, tensor(&p->tensors[i]));
    put_number(memory, "largest_live_sum_bytes", planner_lower_bound(p));
    json_object_set_new(memory, "tensors", tensors);
    json_object_set_new(report, "steps", steps);
    json_object_set_new(report, "memory", memory);
}

/* ---- layers whose packed weights are larger than the model's --------------------- */

static int64_t packed_bytes(const struct program *p, const struct step *s)
{
    int64_t sum = 0;

    for (int k = 0; k < s->n_operands; k++)
        if (s->operands[k].tensor >= 0
            && p->tensors[s->operands[k].tensor].place == IN_WEIGHTS)
            sum += p->tensors[s->operands[k].tensor].bytes;
    return sum;
}

static int64_t model_bytes(const struct ir_node *n)
{
    int64_t sum = 0;

    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && n->in[i]->data)
            sum += ir_bytes(n->in[i]);
    return sum;
}

static void put_grown(json_t *report, const struct program *p)
{
    json_t *list = json_array();

    for (int i = 0; i < p->n_steps; i++) {
        const struct step *s = &p->steps[i];
        const int64_t packed = packed_bytes(p, s), raw = s->node ? model_bytes(s->node) : 0;

        if (raw == 0 || packed <= raw + raw / 20)
            continue;

        json_t *o = json_object();

        put_text(o, "step", s->name);
        put_text(o, "node", s->node->name);
        put_number(o, "model_bytes", raw);
        put_number(o, "packed_bytes", packed);
        json_array_append_new(list, o);
    }
    json_object_set_new(report, "larger_weights", list);
}

/* A list of `lines`, one text a line. */
static void put_lines(json_t *report, const char *name, const struct text *lines)
{
    json_t *list = json_array();
    const char *line = lines->bytes ? lines->bytes : "";

    while (*line) {
        const size_t len = strcspn(line, "\n");

        json_array_append_new(list, json_stringn(line, len));
        line += len + (line[len] == '\n');
    }
    json_object_set_new(report, name, list);
}

/* ---- the report ------------------------------------------------------------------ */

static void put_origin(json_t *report, const struct bundle_job *job)
{
    const struct bundle_options *o = job->options;
    const bool machine_code = emit_is_machine_code(o->kind);
    unsigned major, minor, patch;

    LLVMGetVersion(&major, &minor, &patch);
    put_number(report, "format", 1);
    put_text(report, "prefix", job->names->prefix);
    put_text(report, "model", job->compile->model_name);
    put_hash(report, "model_sha256", job->compile->model_sha256);
    put_number(report, "opset", job->compile->opset);
    put_text(report, "producer", job->compile->producer);
    put_text(report, "target", o->target->name);
    put_text(report, "cpu", machine_code ? o->isa.cpu : "any");
    put_text(report, "features", machine_code ? o->isa.features : "");
    put_text(report, "triple", machine_code ? o->isa.triple : "");
    put_text(report, "emit", emit_kind_names[o->kind]);
    json_object_set_new(report, "embed", json_boolean(o->embed));
    put_text(report, "options", o->command_options);
    put_text(report, "tool", arena_printf(job->arena, "hadmcc %s", hadmcc_version()));
    put_text(report, "llvm", arena_printf(job->arena, "%u.%u.%u", major, minor, patch));
    put_number(report, "seed", 0);
    put_number(report, "abi", job->model->abi);
    put_hash(report, "structure_hash", job->model->structure_hash);
}

static void put_sizes(json_t *report, const struct bundle_job *job)
{
    put_number(report, "workspace_bytes", (int64_t)job->model->workspace_bytes);
    put_number(report, "workspace_align", 64);
    put_number(report, "weights_bytes", (int64_t)job->weights_bytes);
    put_number(report, "payload_bytes", (int64_t)job->model->payload_bytes);
    put_number(report, "code_bytes", job->code_bytes);
    put_number(report, "stack_bytes", job->stack_bytes);
    put_number(report, "max_workers", job->model->max_workers);
}

void report_json(const struct bundle_job *job, struct text *out)
{
    json_t *report = json_object();

    put_origin(report, job);
    put_sizes(report, job);
    if (job->options->compression)
        json_object_set_new(report, "compression",
                            report_compression_json(job->options->compression));
    put_doors(report, job);
    put_program(report, job);
    put_grown(report, job->program);
    put_lines(report, "left_in_floats", &job->compile->left_in_floats);
    put_lines(report, "warnings", &job->compile->warnings);

    char *words = json_dumps(report, JSON_INDENT(1));

    text_puts(out, words);
    text_puts(out, "\n");
    free(words);
    json_decref(report);
}
