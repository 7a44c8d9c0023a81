/* SPDX-License-Identifier: Apache-2.0 */
/* What decisions are about: the units of a model, what can be one kernel with each, and
 * which channels can be removed together. */
#include "cli/inspect.h"
#include "codegen/compile_model.h"
#include "plan/channels.h"
#include "plan/fusion.h"
#include "plan/plan_words.h"

struct view {
    const struct unit *units;
    int n_units;
    const struct channels *ch;
};

/* Whether the unit multiplies something of the group. */
static bool reads_group(const struct view *v, int unit, int group)
{
    const struct unit *u = &v->units[unit];
    const struct ir_value *w = u->node->in[u->weight_operand];

    for (int d = 0; d < w->rank; d++)
        for (int64_t i = 0; i < w->dim[d]; i++) {
            const int class = v->ch->of[w->id] ? v->ch->of[w->id][d][i] : CHANNEL_FIXED;

            if (class != CHANNEL_FIXED && v->ch->group_of[class] == group)
                return true;
        }
    return false;
}

static bool makes_group(const struct channel_group *g, int unit)
{
    for (int i = 0; i < g->n_units; i++)
        if (g->units[i] == unit)
            return true;
    return false;
}

static json_t *unit_json(const struct view *v, const struct unit *u)
{
    const struct ir_node *nodes[FUSION_MOST_NODES];
    int n_nodes;
    const enum plan_pattern pattern = fusion_find(u->node, &n_nodes, nodes);
    json_t *fused = json_array();
    int64_t removable = 0;
    const struct ir_value *y = u->node->out[0];
    const int *class = v->ch->of[y->id] ? v->ch->of[y->id][channels_dim(u)] : NULL;

    for (int64_t i = 0; class && i < u->channels; i++)
        removable += class[i] != CHANNEL_FIXED;
    for (int i = 0; i < n_nodes; i++)
        json_array_append_new(fused, json_string(op_info[nodes[i]->op].name));
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:o}", "name", u->name, "op",
                     op_info[u->node->op].name, "channels", (json_int_t)u->channels,
                     "removable", (json_int_t)removable, "weights",
                     (json_int_t)u->n_weights, "macs", (json_int_t)u->macs, "pattern",
                     plan_patterns[pattern], "fused", fused);
}

/* Channels of the first layer that makes the group which go with each class of it: an
 * attention head has more than one. */
static int64_t group_width(const struct view *v, int group)
{
    const struct channel_group *g = &v->ch->groups[group];
    const struct unit *u = &v->units[g->units[0]];
    const int *class = v->ch->of[u->node->out[0]->id][channels_dim(u)];
    int64_t n = 0;

    for (int64_t i = 0; i < u->channels; i++)
        n += class[i] == g->classes[0];
    return n;
}

static json_t *group_json(const struct view *v, int group)
{
    const struct channel_group *g = &v->ch->groups[group];
    json_t *made = json_array(), *read = json_array();

    for (int i = 0; i < g->n_units; i++)
        json_array_append_new(made, json_string(v->units[g->units[i]].name));
    for (int i = 0; i < v->n_units; i++)
        if (!makes_group(g, i) && reads_group(v, i, group))
            json_array_append_new(read, json_string(v->units[i].name));
    return json_pack("{s:I, s:I, s:o, s:o}", "n", (json_int_t)g->n, "channels",
                     (json_int_t)group_width(v, group), "made_by", made, "read_by",
                     read);
}

static json_t *units_json(const struct view *v)
{
    json_t *units = json_array(), *groups = json_array();

    for (int i = 0; i < v->n_units; i++)
        json_array_append_new(units, unit_json(v, &v->units[i]));
    for (int i = 0; i < v->ch->n_groups; i++)
        json_array_append_new(groups, group_json(v, i));
    return json_pack("{s:o, s:o}", "units", units, "groups", groups);
}

/* ---- readable form -----------------------------------------------------------------
 */

static json_int_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static void print_names(const char *before, const json_t *names)
{
    size_t i;
    json_t *name;

    json_array_foreach(names, i, name)
        printf("%s%s", i ? ", " : before, json_string_value(name));
}

static void print_units(const json_t *all)
{
    size_t i;
    json_t *o;

    printf("%10s %12s  %-16s %-16s %s\n", "weights", "mult-adds", "removable",
           "pattern", "unit");
    json_array_foreach(json_object_get(all, "units"), i, o)
        printf("%10lld %12lld  %5lld of %-7lld %-16s %s (%s)\n",
               (long long)number(o, "weights"), (long long)number(o, "macs"),
               (long long)number(o, "removable"), (long long)number(o, "channels"),
               text_of(o, "pattern"), text_of(o, "name"), text_of(o, "op"));
    printf("\nchannels that go only together:\n");
    json_array_foreach(json_object_get(all, "groups"), i, o)
    {
        printf("%5lld x %-3lld", (long long)number(o, "n"),
               (long long)number(o, "channels"));
        print_names(" made by ", json_object_get(o, "made_by"));
        print_names("; read by ", json_object_get(o, "read_by"));
        printf("\n");
    }
}

struct status *inspect_units(struct arena *a, const char *path,
                             const struct model_options *mo, json_t **out)
{
    struct compile *c = compile_create();
    struct compile_options co = {0};
    struct ir_graph *g = NULL;
    struct status *s = model_parse_options(a, path, mo, &co.onnx);
    struct view v = {0};

    if (!s)
        s = compile_graph(c, path, &co, NULL, &g);
    if (!s) {
        v.units = units_find(g, &v.n_units);
        v.ch = channels_find(g, v.units, v.n_units);

        json_t *all = units_json(&v);

        if (out) {
            *out = all;
        } else {
            print_units(all);
            json_decref(all);
        }
    }
    compile_destroy(c);
    return s;
}
