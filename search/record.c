/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluations as JSON lines: see record.h. */
#include "search/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/json_door.h"
#include "support/text.h"

enum { MOST_BYTES = 1 << 30 };

struct known {
    size_t at; /* in the text */
    struct choices *choices;
    struct search_result result;
};

struct record {
    struct arena *arena;
    const char *path;
    int n_units, file;
    bool is_read; /* and never written */
    int n_known, cap;
    struct known *known;
    struct text text;
};

/* ---- writing --------------------------------------------------------------------- */

enum field { FIELD_pattern, FIELD_ratio, FIELD_bits, FIELDS };

static const char *const field_names[] = {"pattern", "ratio", "bits"};

static int field_get(const struct choice *c, enum field f)
{
    return f == FIELD_pattern ? c->pattern
           : f == FIELD_ratio ? c->ratio
                              : choice_bits[c->bits];
}

static void put_units(const struct choices *c, struct text *t)
{
    for (enum field f = 0; f < FIELDS; f++) {
        text_printf(t, ", \"%s\": [", field_names[f]);
        for (int i = 0; i < c->n_units; i++)
            text_printf(t, "%s%d", i ? ", " : "", field_get(&c->units[i], f));
        text_puts(t, "]");
    }
}

static void put_line(const struct evaluation *v, int n, struct text *t)
{
    text_printf(t, "{\"n\": %d, \"by\": \"%s\", \"loss\": %.17g, \"drop\": %.17g", n,
                v->proposer, v->result.loss, v->result.drop);
    for (int k = 0; k < COST_COUNT; k++)
        text_printf(t, ", \"%s\": %.17g", search_cost_names[k], v->result.costs[k]);
    text_printf(t, ", \"feasible\": %s", v->feasible ? "true" : "false");
    put_units(v->choices, t);
    text_printf(t,
                ", \"temperature\": %.17g, \"alpha\": %.17g, \"update\": %d, "
                "\"update_bytes\": %.17g}\n",
                v->choices->temperature, v->choices->alpha, v->choices->update,
                v->result.update_bytes);
}

static struct status *write_all(const struct record *r, const char *bytes, size_t n)
{
    while (r->path && n) {
        const ssize_t done = write(r->file, bytes, n);

        if (done < 0 && errno != EINTR)
            return FAIL(IO_ERROR, "cannot write '%s': %s", r->path, strerror(errno));
        bytes += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
    return OK;
}

struct status *record_add(struct record *r, const struct evaluator *e)
{
    const size_t before = r->text.len;

    if (e->n - 1 < r->n_known)
        return OK;
    put_line(&e->all[e->n - 1], e->n - 1, &r->text);
    return write_all(r, r->text.bytes + before, r->text.len - before);
}

const char *record_text(const struct record *r)
{
    return r->text.bytes;
}

/* ---- reading --------------------------------------------------------------------- */

static int index_of_bits(int bits)
{
    for (int i = 0; i < CHOICE_BITS; i++)
        if (choice_bits[i] == bits)
            return i;
    return -1;
}

static bool field_set(struct choice *c, enum field f, json_int_t value)
{
    const int most[FIELDS] = {CHOICE_PATTERNS, CHOICE_RATIOS, 33};

    if (value < 0 || value >= most[f])
        return false;
    if (f == FIELD_pattern)
        c->pattern = (uint8_t)value;
    else if (f == FIELD_ratio)
        c->ratio = (uint8_t)value;
    else if (index_of_bits((int)value) >= 0)
        c->bits = (uint8_t)index_of_bits((int)value);
    else
        return false;
    return true;
}

static struct status *take_units(const struct json_door *at, const json_t *line,
                                 struct choices *c)
{
    const size_t n = (size_t)c->n_units;
    const json_t *list;

    for (enum field f = 0; f < FIELDS; f++) {
        RETURN_IF_FAIL(json_door_array(at, line, field_names[f], n, n, &list));
        for (size_t i = 0; i < n; i++) {
            const json_t *number = json_array_get(list, i);

            if (!json_is_integer(number)
                || !field_set(&c->units[i], f, json_integer_value(number)))
                return json_door_fail(at, "'%s' holds what is no choice",
                                      field_names[f]);
        }
    }
    return OK;
}

static struct status *take_line(const struct json_door *at, const json_t *line,
                                struct known *to)
{
    struct search_result *r = &to->result;
    int64_t update;

    RETURN_IF_FAIL(take_units(at, line, to->choices));
    RETURN_IF_FAIL(json_door_real(at, line, "loss", 0, 1e300, &r->loss));
    RETURN_IF_FAIL(json_door_real(at, line, "drop", -1e300, 1e300, &r->drop));
    for (int k = 0; k < COST_COUNT; k++)
        RETURN_IF_FAIL(
            json_door_real(at, line, search_cost_names[k], 0, 1e300, &r->costs[k]));
    RETURN_IF_FAIL(
        json_door_real(at, line, "temperature", 0, 100, &to->choices->temperature));
    RETURN_IF_FAIL(json_door_real(at, line, "alpha", 0, 1, &to->choices->alpha));
    RETURN_IF_FAIL(
        json_door_integer(at, line, "update", 0, CHOICE_UPDATES - 1, &update));
    to->choices->update = (int)update;
    return json_door_real(at, line, "update_bytes", 0, 1e300, &r->update_bytes);
}

static struct status *read_line(struct record *r, const char *line, size_t len)
{
    const struct json_door at = {r->arena, r->path,
                                 arena_printf(r->arena, "line %d", r->n_known + 2)};
    json_t *object;
    struct known *to;

    RETURN_IF_FAIL(json_door_parse(&at, line, len, &object));
    r->known = arena_grow(r->arena, r->known, sizeof *r->known, r->n_known, &r->cap);
    to = &r->known[r->n_known];
    *to = (struct known){.at = r->text.len,
                         .choices = choices_create(r->arena, r->n_units)};

    struct status *s = take_line(&at, object, to);

    json_decref(object);
    r->n_known += !s;
    return s;
}

/* The whole lines of the file; what is left of the last one does not count. */
static struct status *read_file(struct record *r, const char *header)
{
    const off_t size = lseek(r->file, 0, SEEK_END);
    const size_t n_header = strlen(header);
    char *bytes;
    size_t len, at = n_header + 1;

    if (size <= 0)
        return OK;
    if (size > MOST_BYTES)
        return FAIL(INVALID, "'%s' has more than 1 GiB", r->path);
    bytes = arena_alloc(r->arena, (size_t)size);
    if (pread(r->file, bytes, (size_t)size, 0) != size)
        return FAIL(IO_ERROR, "cannot read '%s': %s", r->path, strerror(errno));
    for (len = (size_t)size; len && bytes[len - 1] != '\n';)
        len--;
    if (!len)
        return OK;
    if (len <= n_header || memcmp(bytes, header, n_header) != 0
        || bytes[n_header] != '\n')
        return FAIL(INVALID,
                    "'%s' is of another search (model, target, data or options)%s",
                    r->path, r->is_read ? "" : "; without --resume it is begun anew");
    while (at < len) {
        const char *end = memchr(bytes + at, '\n', len - at);
        const size_t n = (size_t)(end - (bytes + at));

        RETURN_IF_FAIL(read_line(r, bytes + at, n));
        text_printf(&r->text, "%.*s\n", (int)n, bytes + at);
        at += n + 1;
    }
    return OK;
}

/* The file ends with what is in the text. */
static struct status *cut_file(const struct record *r)
{
    if (!r->path
        || (ftruncate(r->file, (off_t)r->text.len) == 0
            && lseek(r->file, 0, SEEK_END) >= 0))
        return OK;
    return FAIL(IO_ERROR, "cannot write '%s': %s", r->path, strerror(errno));
}

static struct status *open_file(struct record *r, const char *header, bool resume)
{
    text_printf(&r->text, "%s\n", header);
    if (!r->path)
        return OK;
    r->file =
        open(r->path, O_RDWR | O_CREAT | O_CLOEXEC | (resume ? 0 : O_TRUNC), 0666);
    if (r->file < 0)
        return FAIL(IO_ERROR, "cannot write '%s': %s", r->path, strerror(errno));
    if (resume)
        RETURN_IF_FAIL(read_file(r, header));
    if (r->n_known)
        return cut_file(r);
    if (ftruncate(r->file, 0) != 0 || lseek(r->file, 0, SEEK_SET) < 0)
        return FAIL(IO_ERROR, "cannot write '%s': %s", r->path, strerror(errno));
    return write_all(r, r->text.bytes, r->text.len);
}

static struct status *open_existing(struct record *r, const char *header)
{
    struct stat st;

    r->is_read = true;
    r->file = open(r->path, O_RDONLY | O_CLOEXEC);
    if (r->file < 0 || fstat(r->file, &st) != 0)
        return FAIL(IO_ERROR, "cannot read '%s': %s", r->path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return FAIL(IO_ERROR, "'%s': not a regular file", r->path);
    return read_file(r, header);
}

static struct record *record_create(const char *path, int n_units)
{
    struct arena *a = arena_create();
    struct record *r = arena_new(a, struct record);

    *r = (struct record){.arena = a, .file = -1, .n_units = n_units};
    r->path = path ? arena_strdup(a, path) : NULL;
    return r;
}

static struct status *give(struct record *r, struct status *s, struct record **out)
{
    *out = s ? NULL : r;
    if (s)
        record_close(r, false);
    return s;
}

struct status *record_read(const char *path, const char *header, int n_units,
                           struct record **out)
{
    struct record *r = record_create(path, n_units);

    return give(r, open_existing(r, header), out);
}

struct status *record_open(const char *path, const char *header, bool resume,
                           int n_units, struct record **out)
{
    struct record *r = record_create(path, n_units);

    return give(r, open_file(r, header, resume), out);
}

void record_close(struct record *r, bool remove_file)
{
    if (!r)
        return;
    if (r->file >= 0)
        close(r->file);
    if (r->path && remove_file)
        remove(r->path);
    text_free(&r->text);
    arena_destroy(r->arena);
}

int record_n_known(const struct record *r)
{
    return r->n_known;
}

void record_at(const struct record *r, int i, const struct choices **c,
               struct search_result *out)
{
    *c = r->known[i].choices;
    *out = r->known[i].result;
}

bool record_recall(struct record *r, int n, const struct choices *c,
                   struct search_result *out)
{
    if (n >= r->n_known)
        return false;
    if (!choices_equal(c, r->known[n].choices)) { /* another hadmcc went another way */
        r->text.len = r->known[n].at;
        r->text.bytes[r->text.len] = '\0';
        r->n_known = n;
        status_free(cut_file(r));
        return false;
    }
    *out = r->known[n].result;
    return true;
}
