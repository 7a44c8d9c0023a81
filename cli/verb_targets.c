/* SPDX-License-Identifier: Apache-2.0 */
/* hadmcc targets: the devices that this hadmcc compiles or plans for. */
#include <string.h>

#include <jansson.h>

#include "cli/json_out.h"
#include "cli/probe_device.h"
#include "cli/progress.h"
#include "codegen/codegen.h"
#include "codegen/runner.h"

#define OPTIONS_FILE "cli/verb_targets.def"
#include "cli/option_rows.h"

/* The processor that a target means by default; "-" when this machine has none of
 * the kind that the target asks for. */
static const char *default_cpu(struct arena *a, const struct target *t)
{
    struct isa isa;
    uint64_t features;

    if (!t->resolve)
        return "-";

    struct status *s = t->resolve(a, NULL, &isa, &features);

    if (!s)
        return isa.cpu;
    status_free(s);
    return "-";
}

static const char *const emits[] = {
    [EMITS_CODE] = "code", [EMITS_C] = "c", [EMITS_PLAN] = "plan"};

static void print_names(void)
{
    for (int i = 0; all_targets[i]; i++)
        printf("%s\n", all_targets[i]->name);
}

static void print_table(struct arena *a)
{
    for (int i = 0; all_targets[i]; i++)
        printf("%-10s %-5s %-18s %s\n", all_targets[i]->name,
               emits[all_targets[i]->emits], default_cpu(a, all_targets[i]),
               all_targets[i]->summary);
}

static struct status *print_json(struct arena *a)
{
    json_t *list = json_array();

    for (int i = 0; all_targets[i]; i++) {
        const struct target *t = all_targets[i];
        json_t *device = json_loads(t->device_json, 0, NULL);
        json_t *row = json_object();

        json_object_set_new(row, "name", json_string(t->name));
        json_object_set_new(row, "summary", json_string(t->summary));
        json_object_set_new(row, "emits", json_string(emits[t->emits]));
        json_object_set_new(row, "cpu", json_string(default_cpu(a, t)));
        json_object_set_new(row, "device", device ? device : json_null());
        json_array_append_new(list, row);
    }
    return json_out_print(list);
}

static struct status *print_probe(struct arena *a, const struct args *o)
{
    struct text t = {0};
    struct device d;
    struct status *s = probe_device(a, o->quick, &d);

    progress(NULL);
    if (!s)
        device_write(&d, &t);
    if (!s && o->out)
        s = runner_replace_file(o->out, t.bytes, t.len);
    else if (!s)
        fputs(t.bytes, stdout);
    text_free(&t);
    return status_note(s, "while measuring this machine");
}

static struct status *check_args(const struct args *o)
{
    if (!o->probe && (o->quick || o->out))
        return FAIL(BAD_USAGE, "%s goes with --probe", o->quick ? "--quick" : "-o");
    if (o->probe && (o->json || o->names))
        return FAIL(BAD_USAGE, "--probe prints one device; %s prints all",
                    o->json ? "--json" : "--names");
    return OK;
}

static struct status *run(const char *operand, const void *args)
{
    const struct args *o = args;

    (void)operand;
    RETURN_IF_FAIL(check_args(o));

    struct arena *a = arena_create();
    struct status *s = OK;

    if (o->probe)
        s = print_probe(a, o);
    else if (o->json)
        s = print_json(a);
    else if (o->names)
        print_names();
    else
        print_table(a);
    arena_destroy(a);
    return s;
}

const struct verb verb_targets = {
    .name = "targets",
    .operand = "",
    .about = "List the devices that hadmcc compiles or plans for: name, what it writes "
             "for\nthem (code, C, a plan), default processor, what it is.",
    .example = "hadmcc targets",
    .options = options,
    .n_options = N_OPTIONS,
    .args_size = sizeof(struct args),
    .run = run,
};
