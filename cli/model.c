/* SPDX-License-Identifier: Apache-2.0 */
/* Options of a model, and its import. */
#include "cli/model.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/test_data.h"

enum { MAX_OPTIONS = 64, MAX_INPUTS = 4096 };

/* Splits "name=rest"; ONNX names may hold '=', values may not, so the last one
 * counts. */
static struct status *split(struct arena *a, const char *option, const char *text,
                            const char **name, const char **value)
{
    const char *equals = strrchr(text, '=');

    if (!equals || equals == text || !equals[1])
        return FAIL(BAD_USAGE, "%s takes NAME=VALUE, not '%s'", option, text);
    *name = arena_strndup(a, text, (size_t)(equals - text));
    *value = equals + 1;
    return OK;
}

/* ---- --dim and --shape ----------------------------------------------------- */

static struct status *parse_size(const char *option, const char **at, int64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoll(*at, &end, 10);
    if (errno || end == *at || *out < 0)
        return FAIL(BAD_USAGE, "%s: '%s' is not a size", option, *at);
    *at = end;
    return OK;
}

static struct status *parse_dim(struct arena *a, const char *text,
                                struct onnx_options *out)
{
    const char *name, *value;
    int64_t size;

    RETURN_IF_FAIL(split(a, "--dim", text, &name, &value));
    RETURN_IF_FAIL(parse_size("--dim", &value, &size));
    if (*value)
        return FAIL(BAD_USAGE, "--dim takes NAME=N, not '%s'", text);
    out->dim[out->n_dims].name = name;
    out->dim[out->n_dims++].value = size;
    return OK;
}

static struct status *parse_shape(struct arena *a, const char *text,
                                  struct onnx_options *out)
{
    const int n = out->n_shapes;
    const char *value;

    RETURN_IF_FAIL(split(a, "--shape", text, &out->shape[n].input, &value));
    for (int rank = 0;; rank++, value++) {
        if (rank == IR_MAX_RANK)
            return FAIL(BAD_USAGE, "--shape: '%s' has more than %d dimensions", text,
                        IR_MAX_RANK);
        RETURN_IF_FAIL(parse_size("--shape", &value, &out->shape[n].dim[rank]));
        out->shape[n].rank = rank + 1;
        if (!*value)
            break;
        if (*value != 'x' && *value != ',')
            return FAIL(BAD_USAGE, "--shape takes INPUT=1x3x224x224, not '%s'", text);
    }
    out->n_shapes++;
    return OK;
}

/* ---- --freeze -------------------------------------------------------------- */

static int count_commas(const char *text)
{
    int n = 0;

    for (; *text; text++)
        n += *text == ',';
    return n;
}

static bool looks_whole(const char *text)
{
    return strspn(text, "+-0123456789,") == strlen(text);
}

/* "3" is a scalar, "1,3,224" a vector; whole numbers are i64, others f32.  The
 * importer turns them into the input's type and shape. */
static struct status *parse_values(struct arena *a, const char *text,
                                   struct tensor *out)
{
    const int n = count_commas(text) + 1;
    const bool whole = looks_whole(text);
    int64_t *ints = arena_new_array(a, int64_t, n);
    float *floats = arena_new_array(a, float, n);
    const char *at = text;

    for (int i = 0; i < n; i++, at++) {
        char *end;

        errno = 0;
        if (whole)
            ints[i] = strtoll(at, &end, 10);
        else
            floats[i] = strtof(at, &end);
        if (end == at || errno || (*end && *end != ','))
            return FAIL(BAD_USAGE, "--freeze: '%s' is not a list of numbers", text);
        at = end;
    }
    out->dtype = whole ? DT_i64 : DT_f32;
    out->rank = n > 1;
    out->dim[0] = n;
    out->data = whole ? (void *)ints : (void *)floats;
    return OK;
}

static struct status *parse_freeze(struct arena *a, const char *text,
                                   struct onnx_options *out)
{
    const int n = out->n_freezes;
    const char *value;

    RETURN_IF_FAIL(split(a, "--freeze", text, &out->freeze[n].input, &value));
    if (*value == '@')
        RETURN_IF_FAIL(onnx_read_tensor_file(a, value + 1, &out->freeze[n].value));
    else
        RETURN_IF_FAIL(parse_values(a, value, &out->freeze[n].value));
    out->n_freezes++;
    return OK;
}

/* ---- --io ------------------------------------------------------------------ */

/* "124/116/104"; nothing may follow but `end`. */
static struct status *parse_channels(struct arena *a, const char **at, char end, int *n,
                                     const float **out)
{
    float *numbers = arena_new_array(a, float, strlen(*at) + 1);

    for (*n = 0;; ++*at) {
        char *after;

        errno = 0;
        numbers[*n] = strtof(*at, &after);
        if (errno || after == *at || !isfinite(numbers[(*n)++]))
            return FAIL(BAD_USAGE, "--io: '%s' is not a list of numbers", *at);
        *at = after;
        if (**at != '/')
            break;
    }
    *out = numbers;
    if (**at != end)
        return FAIL(BAD_USAGE, "--io: '%s' should be %s", *at,
                    end ? "a comma and the deviation" : "the end");
    return OK;
}

static struct status *parse_normalisation(struct arena *a, const char *at,
                                          struct onnx_io *io)
{
    RETURN_IF_FAIL(parse_channels(a, &at, ',', &io->n_mean, &io->mean));
    at++;
    RETURN_IF_FAIL(parse_channels(a, &at, '\0', &io->n_std, &io->std));
    for (int i = 0; i < io->n_std; i++)
        if (io->std[i] <= 0.0f)
            return FAIL(BAD_USAGE, "--io: a deviation of %g", (double)io->std[i]);
    return OK;
}

static struct status *parse_io(struct arena *a, const char *text,
                               struct onnx_options *out)
{
    struct onnx_io *io = &out->io[out->n_ios++];
    const char *value;

    RETURN_IF_FAIL(split(a, "--io", text, &io->input, &value));
    const size_t type = strcspn(value, ":,");
    const char *order = value[type] == ':' ? value + type + 1 : "nchw";
    const size_t n = strcspn(order, ",");

    io->dtype = dtype_from_name(arena_strndup(a, value, type));
    if (io->dtype == DT_NONE)
        return FAIL(BAD_USAGE, "--io: '%s' does not begin with a type, as u8 or f32",
                    value);
    io->channels_last = n == 4 && strncmp(order, "nhwc", n) == 0;
    if (!io->channels_last && (n != 4 || strncmp(order, "nchw", n) != 0))
        return FAIL(BAD_USAGE, "--io: the order is nchw or nhwc, not '%.*s'", (int)n,
                    order);
    const char *rest = value + strcspn(value, ",");

    return *rest ? parse_normalisation(a, rest + 1, io) : OK;
}

static struct status *parse_texts(struct arena *a, const struct model_options *o,
                                  struct onnx_options *out)
{
    for (int i = 0; i < o->dim->n; i++)
        RETURN_IF_FAIL(parse_dim(a, o->dim->at[i], out));
    for (int i = 0; i < o->shape->n; i++)
        RETURN_IF_FAIL(parse_shape(a, o->shape->at[i], out));
    for (int i = 0; i < o->freeze->n; i++)
        RETURN_IF_FAIL(parse_freeze(a, o->freeze->at[i], out));
    for (int i = 0; i < o->io->n; i++)
        RETURN_IF_FAIL(parse_io(a, o->io->at[i], out));
    return OK;
}

/* ---- --freeze-from --------------------------------------------------------- */

/* Sizes, axes, pads, scales, trip counts: short and flat.  The first input is data
 * unless it is integers. */
static bool may_be_shape_valued(const struct tensor *t, int index)
{
    const bool whole = t->dtype == DT_i64 || t->dtype == DT_i32 || t->dtype == DT_bool;

    return t->rank <= 1 && (t->rank == 0 || t->dim[0] <= 64) && (whole || index > 0);
}

static bool is_frozen(const struct onnx_options *o, const char *input)
{
    for (int i = 0; i < o->n_freezes; i++)
        if (strcmp(o->freeze[i].input, input) == 0)
            return true;
    return false;
}

/* The tensor of input number i, called `name`. */
static const struct tensor *find_data(const struct test_data *d, int i,
                                      const char *name)
{
    for (int k = 0; k < d->n; k++)
        if (*d->at[k].name ? strcmp(d->at[k].name, name) == 0 : k == i)
            return &d->at[k].value;
    return NULL;
}

static void add_freeze(struct onnx_options *o, const char *input,
                       const struct tensor *t)
{
    if (o->n_freezes == MAX_OPTIONS)
        return;
    o->freeze[o->n_freezes].input = input;
    o->freeze[o->n_freezes++].value = *t;
}

/* Every input that could hold sizes, indices or scales. */
static struct status *list_candidates(struct arena *a, const char *path,
                                      const char *dir, struct onnx_options *o)
{
    const char **names = arena_new_array(a, const char *, MAX_INPUTS);
    const int n = onnx_input_names(a, path, names, MAX_INPUTS);
    struct test_data data;

    RETURN_IF_FAIL(test_data_load(a, dir, "input", &data));
    for (int i = 0; i < n; i++) {
        const struct tensor *t = find_data(&data, i, names[i]);

        if (t && may_be_shape_valued(t, i) && !is_frozen(o, names[i]))
            add_freeze(o, names[i], t);
    }
    return OK;
}

static void drop_freeze(struct onnx_options *o, int i)
{
    for (o->n_freezes--; i < o->n_freezes; i++)
        o->freeze[i] = o->freeze[i + 1];
}

static bool imports(const char *path, const struct onnx_options *o)
{
    struct compile *c = compile_create();
    struct ir_graph *g = NULL;
    struct status *s = onnx_import(c, path, o, NULL, &g);
    const bool good = s == OK;

    status_free(s);
    compile_destroy(c);
    return good;
}

/* Import tells what is missing only by failing, and takes milliseconds: freeze
 * everything, then thaw one after the other. */
static struct status *freeze_needed(struct arena *a, const char *path, const char *dir,
                                    struct onnx_options *o)
{
    const int given = o->n_freezes;

    if (imports(path, o))
        return OK;
    RETURN_IF_FAIL(list_candidates(a, path, dir, o));
    if (!imports(path, o)) {
        o->n_freezes = given; /* the user shall see the first reason */
        return OK;
    }
    for (int i = o->n_freezes - 1; i >= given; i--) {
        struct onnx_options fewer = *o;

        drop_freeze(&fewer, i);
        if (imports(path, &fewer))
            *o = fewer;
    }
    return OK;
}

struct status *model_parse_options(struct arena *a, const char *path,
                                   const struct model_options *o,
                                   struct onnx_options *out)
{
    memset(out, 0, sizeof *out);
    RETURN_IF_FAIL(parse_texts(a, o, out));
    return o->freeze_from ? freeze_needed(a, path, o->freeze_from, out) : OK;
}

struct status *model_import(struct compile *c, const char *path,
                            const struct model_options *o,
                            struct onnx_problems *problems, struct ir_graph **out)
{
    struct onnx_options options;

    RETURN_IF_FAIL(model_parse_options(c->perm, path, o, &options));
    return onnx_import(c, path, &options, problems, out);
}

/* ---- the options behind a bundle ------------------------------------------- */

static const struct bundle_io *find_input(const struct bundle_meta *m, const char *name)
{
    for (int i = 0; i < m->n_inputs; i++)
        if (strcmp(m->io[i].name, name) == 0)
            return &m->io[i];
    return NULL;
}

static void pin_shape(struct onnx_options *o, const struct bundle_io *io)
{
    if (o->n_shapes == MAX_OPTIONS)
        return;
    o->shape[o->n_shapes].input = io->name;
    o->shape[o->n_shapes].rank = io->rank;
    memcpy(o->shape[o->n_shapes++].dim, io->dim, sizeof io->dim);
}

struct status *model_options_of_bundle(struct arena *a, const char *path,
                                       const char *dir, const struct bundle_meta *meta,
                                       struct onnx_options *out)
{
    const char **names = arena_new_array(a, const char *, MAX_INPUTS);
    const int n = onnx_input_names(a, path, names, MAX_INPUTS);
    struct test_data data;

    memset(out, 0, sizeof *out);
    RETURN_IF_FAIL(test_data_load(a, dir, "input", &data));
    for (int i = 0; i < n; i++) {
        const struct bundle_io *io = find_input(meta, names[i]);
        const struct tensor *t = find_data(&data, i, names[i]);

        if (io)
            pin_shape(out, io);
        else if (t)
            add_freeze(out, names[i], t);
        else
            return FAIL(INVALID,
                        "'%s' has the input '%s', which neither the bundle nor "
                        "'%s' knows",
                        path, names[i], dir);
    }
    return OK;
}
