/* SPDX-License-Identifier: Apache-2.0 */
/* Reads foo.report.json of a bundle: what a runner must know.  A bundle may come
 * from anywhere, so every field is checked here and nowhere else. */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "codegen/codegen.h"

enum { MAX_IO = 4096, MAX_STEPS = 1 << 20 };

/* ---- fields of an object --------------------------------------------------- */

static struct status *get_text(struct arena *a, const json_t *object, const char *key,
                               const char **out)
{
    const char *text = json_string_value(json_object_get(object, key));

    if (!text)
        return FAIL(INVALID, "'%s' is not a text", key);
    *out = arena_strdup(a, text);
    return OK;
}

static struct status *get_count(const json_t *object, const char *key, int64_t max,
                                int64_t *out)
{
    const json_t *value = json_object_get(object, key);
    const json_int_t n = json_integer_value(value);

    if (!json_is_integer(value) || n < 0 || n > max)
        return FAIL(INVALID, "'%s' is not a whole number between 0 and %lld", key,
                    (long long)max);
    *out = n;
    return OK;
}

static struct status *get_array(const json_t *object, const char *key, size_t max,
                                const json_t **out)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_array(value) || json_array_size(value) > max)
        return FAIL(INVALID, "'%s' is not a list of at most %zu", key, max);
    *out = value;
    return OK;
}

/* ---- parts of the report --------------------------------------------------- */

/* A prefix becomes file names and symbols, so only an identifier will do. */
static bool is_identifier(const char *text)
{
    if (!*text || (*text >= '0' && *text <= '9'))
        return false;
    return strspn(text,
                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
           == strlen(text);
}

static struct status *read_io(struct arena *a, const json_t *object, bool is_output,
                              struct bundle_io *out)
{
    const char *dtype;
    const json_t *dims;
    int64_t bytes;

    RETURN_IF_FAIL(get_text(a, object, "name", &out->name));
    RETURN_IF_FAIL(get_text(a, object, "dtype", &dtype));
    RETURN_IF_FAIL(get_array(object, "dims", IR_MAX_RANK, &dims));
    out->dtype = dtype_from_name(dtype);
    if (out->dtype == DT_NONE)
        return FAIL(INVALID, "'%s' has the unknown type '%s'", out->name, dtype);
    out->is_output = is_output;
    out->dynamic = json_is_true(json_object_get(object, "dynamic"));
    out->rank = (int)json_array_size(dims);
    bytes = dtype_info[out->dtype].bytes;
    for (int i = 0; i < out->rank; i++) {
        const json_int_t n = json_integer_value(json_array_get(dims, (size_t)i));

        if (n < 0 || __builtin_mul_overflow(bytes, n, &bytes)
            || bytes > INT64_C(1) << 40)
            return FAIL(INVALID, "'%s' has impossible dimensions", out->name);
        out->dim[i] = n;
    }
    return OK;
}

static struct status *read_doors(struct arena *a, const json_t *report,
                                 struct bundle_meta *out)
{
    const json_t *inputs, *outputs;

    RETURN_IF_FAIL(get_array(report, "inputs", MAX_IO, &inputs));
    RETURN_IF_FAIL(get_array(report, "outputs", MAX_IO, &outputs));
    out->n_inputs = (int)json_array_size(inputs);
    out->n_outputs = (int)json_array_size(outputs);
    out->io = arena_new_array(a, struct bundle_io, out->n_inputs + out->n_outputs);
    for (int i = 0; i < out->n_inputs + out->n_outputs; i++) {
        const bool is_output = i >= out->n_inputs;
        const json_t *list = is_output ? outputs : inputs;
        const int k = is_output ? i - out->n_inputs : i;

        RETURN_IF_FAIL(
            read_io(a, json_array_get(list, (size_t)k), is_output, &out->io[i]));
    }
    return OK;
}

static struct status *read_steps(struct arena *a, const json_t *report,
                                 struct bundle_meta *out)
{
    const json_t *steps;

    RETURN_IF_FAIL(get_array(report, "steps", MAX_STEPS, &steps));
    out->n_steps = (int)json_array_size(steps);
    out->steps = arena_new_array(a, struct bundle_step, out->n_steps);
    for (int i = 0; i < out->n_steps; i++) {
        const json_t *object = json_array_get(steps, (size_t)i);
        struct bundle_step *s = &out->steps[i];

        RETURN_IF_FAIL(get_text(a, object, "name", &s->name));
        RETURN_IF_FAIL(get_text(a, object, "node", &s->node));
        RETURN_IF_FAIL(get_text(a, object, "covers", &s->covers));
        RETURN_IF_FAIL(get_count(object, "flops", INT64_MAX, &s->flops));
        s->modelled_ns = -1;
        if (json_object_get(object, "modelled_ns"))
            RETURN_IF_FAIL(
                get_count(object, "modelled_ns", INT64_MAX, &s->modelled_ns));
    }
    return OK;
}

const char *const emit_kind_names[] = {
    [EMIT_OBJECT] = "obj", [EMIT_LLVM] = "llvm", [EMIT_ASM] = "asm",
    [EMIT_C] = "c",        [EMIT_PLAN] = "plan", NULL,
};

static struct status *read_kind(struct arena *a, const json_t *report,
                                struct bundle_meta *out)
{
    const char *name;

    RETURN_IF_FAIL(get_text(a, report, "emit", &name));
    for (int i = 0; emit_kind_names[i]; i++)
        if (strcmp(name, emit_kind_names[i]) == 0) {
            out->kind = (enum emit_kind)i;
            return OK;
        }
    return FAIL(INVALID, "'emit' is '%s'", name);
}

static struct status *read_modelled(struct arena *a, const json_t *report,
                                    struct bundle_meta *out)
{
    const json_t *object = json_object_get(report, "modelled");

    out->modelled_for = "";
    out->modelled_ns = out->modelled_nj = -1;
    if (!object)
        return OK;
    RETURN_IF_FAIL(get_text(a, object, "device", &out->modelled_for));
    RETURN_IF_FAIL(get_count(object, "time_ns", INT64_MAX, &out->modelled_ns));
    return json_object_get(object, "energy_nj")
               ? get_count(object, "energy_nj", INT64_MAX, &out->modelled_nj)
               : OK;
}

static struct status *read_report(struct arena *a, const json_t *report,
                                  struct bundle_meta *out)
{
    int64_t format, max_workers;

    RETURN_IF_FAIL(get_count(report, "format", INT32_MAX, &format));
    if (format != 1)
        return FAIL(UNSUPPORTED, "this report has format %d, this hadmcc reads 1",
                    (int)format);
    RETURN_IF_FAIL(get_text(a, report, "prefix", &out->prefix));
    if (!is_identifier(out->prefix))
        return FAIL(INVALID, "'%s' is not a prefix of C names", out->prefix);
    RETURN_IF_FAIL(get_text(a, report, "target", &out->target));
    RETURN_IF_FAIL(get_text(a, report, "cpu", &out->cpu));
    RETURN_IF_FAIL(read_kind(a, report, out));
    out->embed = json_is_true(json_object_get(report, "embed"));
    RETURN_IF_FAIL(
        get_count(report, "workspace_bytes", INT64_C(1) << 40, &out->workspace_bytes));
    RETURN_IF_FAIL(
        get_count(report, "weights_bytes", INT64_C(1) << 40, &out->weights_bytes));
    RETURN_IF_FAIL(get_count(report, "max_workers", 1 << 16, &max_workers));
    out->max_workers = (int)max_workers;
    RETURN_IF_FAIL(read_modelled(a, report, out));
    RETURN_IF_FAIL(read_doors(a, report, out));
    return read_steps(a, report, out);
}

/* ---- finding it ------------------------------------------------------------ */

static struct status *find_report(struct arena *a, const char *folder, const char **out)
{
    static const char suffix[] = ".report.json";
    DIR *dir = opendir(folder);
    struct status *s = OK;

    *out = NULL;
    if (!dir)
        return FAIL(IO_ERROR, "cannot read the bundle '%s': %s", folder,
                    strerror(errno));
    for (const struct dirent *e; !s && (e = readdir(dir));) {
        const size_t n = strlen(e->d_name);

        if (n < sizeof suffix
            || strcmp(e->d_name + n - (sizeof suffix - 1), suffix) != 0)
            continue;
        if (*out)
            s = FAIL(INVALID, "'%s' holds several bundles", folder);
        *out = arena_printf(a, "%s/%s", folder, e->d_name);
    }
    closedir(dir);
    if (!s && !*out)
        s = FAIL(INVALID, "'%s' is not a bundle: there is no *.report.json", folder);
    return s;
}

struct status *bundle_read_meta(struct arena *a, const char *folder,
                                struct bundle_meta *out)
{
    const char *path;
    json_error_t why;

    memset(out, 0, sizeof *out);
    RETURN_IF_FAIL(find_report(a, folder, &path));

    json_t *report = json_load_file(path, JSON_REJECT_DUPLICATES, &why);

    if (!report)
        return FAIL(INVALID, "%s, line %d: %s", path, why.line, why.text);

    struct status *s = read_report(a, report, out);

    json_decref(report);
    return status_note(s, "while reading %s", path);
}
