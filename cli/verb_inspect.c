/* SPDX-License-Identifier: Apache-2.0 */
/* hadmcc inspect: what is in a model, a weights file, a plan or a bundle.  Each kind of
 * file becomes one JSON object; the readable form is printed from it. */
#include <string.h>
#include <sys/stat.h>

#include "cli/inspect.h"
#include "cli/json_out.h"
#include "cli/model.h"

#define OPTIONS_FILE "cli/verb_inspect.def"
#include "cli/option_rows.h"

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), k = strlen(end);

    return n >= k && strcmp(text + n - k, end) == 0;
}

static struct status *print_ir(const char *path, const struct args *o)
{
    const struct model_options mo = MODEL_OPTIONS(o);
    struct compile *c = compile_create();
    struct ir_graph *g = NULL;
    struct status *s = model_import(c, path, &mo, NULL, &g);

    if (!s) {
        struct text t = {0};

        ir_print(g, 0, &t);
        fputs(t.bytes, stdout);
        text_free(&t);
    }
    compile_destroy(c);
    return s;
}

static struct status *describe(struct arena *a, const char *path, json_t **out)
{
    if (is_folder(path))
        return inspect_bundle(a, path, out);
    if (ends_with(path, ".weights"))
        return inspect_weights(a, path, out);
    return inspect_onnx(a, path, out);
}

/* ---- readable form --------------------------------------------------------- */

static void print_value(const json_t *value)
{
    char *text;

    if (json_is_string(value)) {
        printf("%s", json_string_value(value));
        return;
    }
    text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    printf("%s", text ? text : "?");
    free(text);
}

/* A list of objects as lines of their values; one of scalars on one line. */
static void print_list(const char *key, const json_t *list)
{
    size_t i;
    json_t *item, *value;
    const char *name;

    if (!json_is_object(json_array_get(list, 0))) {
        printf("%-18s ", key);
        json_array_foreach(list, i, item)
        {
            if (i)
                printf(" ");
            print_value(item);
        }
        printf("\n");
        return;
    }
    printf("%s\n", key);
    json_array_foreach(list, i, item)
    {
        printf(" ");
        json_object_foreach(item, name, value)
        {
            printf(" ");
            print_value(value);
        }
        printf("\n");
    }
}

static void print_readable(json_t *object)
{
    const char *key, *name;
    json_t *value, *item;

    json_object_foreach(object, key, value)
    {
        if (json_is_array(value)) {
            print_list(key, value);
        } else if (json_is_object(value)) {
            printf("%s\n", key);
            json_object_foreach(value, name, item)
            {
                printf("  %-24s ", name);
                print_value(item);
                printf("\n");
            }
        } else {
            printf("%-18s ", key);
            print_value(value);
            printf("\n");
        }
    }
    json_decref(object);
}

/* ---------------------------------------------------------------------------- */

static struct status *run(const char *path, const void *args)
{
    const struct args *o = args;
    json_t *object = NULL;

    if (!path)
        return FAIL(BAD_USAGE, "no file given: hadmcc inspect FILE");
    if (o->ir)
        return print_ir(path, o);

    struct arena *a = arena_create();
    const struct model_options mo = MODEL_OPTIONS(o);
    struct status *s = o->plan ? inspect_plan(a, path)
                       : o->units
                           ? inspect_units(a, path, &mo, o->json ? &object : NULL)
                       : ends_with(path, ".plan.json")
                           ? inspect_decisions(a, path, o->json ? &object : NULL)
                           : describe(a, path, &object);

    arena_destroy(a);
    if (s || !object)
        return s;
    if (o->json)
        return json_out_print(object);
    print_readable(object);
    return OK;
}

const struct verb verb_inspect = {
    .name = "inspect",
    .operand = "FILE",
    .about =
        "Say what is in FILE: an ONNX model, the weights or the plan of a bundle, or "
        "a bundle folder.",
    .example = "hadmcc inspect keyword.onnx",
    .options = options,
    .n_options = N_OPTIONS,
    .args_size = sizeof(struct args),
    .run = run,
};
