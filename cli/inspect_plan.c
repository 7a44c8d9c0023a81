/* SPDX-License-Identifier: Apache-2.0 */
/* The memory plan of a bundle as a table: which tensor lies where, from which step to
 * which.  Read from foo.report.json, which may come from anywhere. */
#include "cli/inspect.h"
#include "codegen/codegen.h"

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "?";
}

static void print_steps(const struct bundle_meta *m)
{
    printf("\n%5s  %-32s %s\n", "step", "name", "operators");
    for (int i = 0; i < m->n_steps; i++)
        printf("%5d  %-32s %s\n", i, m->steps[i].name, m->steps[i].covers);
}

static void print_tensor(const json_t *t, const json_t *all)
{
    const char *place = text_of(t, "place");
    const json_t *view = json_object_get(t, "alias_of");

    if (view)
        printf("%12s %12lld %11s  %s = part of %s from byte %lld\n", "",
               (long long)number(t, "bytes"), "", text_of(t, "name"),
               text_of(json_array_get(all, (size_t)json_integer_value(view)), "name"),
               (long long)number(t, "alias_offset"));
    else if (json_object_get(t, "first_step"))
        printf("%12lld %12lld %5lld-%-5lld  %s\n", (long long)number(t, "offset"),
               (long long)number(t, "bytes"), (long long)number(t, "first_step"),
               (long long)number(t, "last_step"), text_of(t, "name"));
    else
        printf("%12s %12lld %11s  %s\n", place, (long long)number(t, "bytes"), "",
               text_of(t, "name"));
}

static void print_plan(const struct bundle_meta *m, const json_t *report)
{
    const json_t *memory = json_object_get(report, "memory");
    const json_t *tensors = json_object_get(memory, "tensors");
    size_t i;
    json_t *t;

    printf(
        "workspace %lld bytes; the largest sum of tensors alive at one step is %lld\n",
        (long long)m->workspace_bytes,
        (long long)number(memory, "largest_live_sum_bytes"));
    printf("\n%12s %12s %11s  %s\n", "offset", "bytes", "steps", "tensor");
    json_array_foreach(tensors, i, t) print_tensor(t, tensors);
    print_steps(m);
}

struct status *inspect_plan(struct arena *a, const char *folder)
{
    struct bundle_meta m;
    json_error_t why;

    RETURN_IF_FAIL(bundle_read_meta(a, folder, &m));

    const char *path = arena_printf(a, "%s/%s.report.json", folder, m.prefix);
    json_t *report = json_load_file(path, 0, &why);

    if (!report)
        return FAIL(INVALID, "%s, line %d: %s", path, why.line, why.text);
    print_plan(&m, report);
    json_decref(report);
    return OK;
}
