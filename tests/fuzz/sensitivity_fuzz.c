/* SPDX-License-Identifier: Apache-2.0 */
// links: search plan hal frontend kernels runtime
/* Sensitivity tables: what is accepted is a problem that the programme answers, and
 * reads back to equal bytes. */
#include "search/sensitivity.h"
#include "tests/fuzz/fuzz.h"

enum { MAX_CELLS = 256 }; /* larger tables take longer, and show nothing new */

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_reads_back(struct arena *a, const struct sensitivity *s)
{
    struct text once = {0}, twice = {0};
    struct sensitivity *again;

    sensitivity_write(s, &once);

    struct status *st = sensitivity_parse(a, "again", once.bytes, once.len, &again);

    if (st) {
        status_print(st, stderr);
        abort();
    }
    sensitivity_write(again, &twice);
    require(strcmp(once.bytes, twice.bytes) == 0);
    text_free(&once);
    text_free(&twice);
}

static void check_programme(struct arena *a, const struct sensitivity *s)
{
    struct bits_problem p = sensitivity_problem(s);

    p.max_ns = 1 + s->ns[0];
    p.max_bytes = 1 + s->bytes[0] * s->n_units;
    p.max_states = 4096;

    const struct bits_answer r = bits_programme(a, &p);

    require(r.levels || r.blocked == BITS_NO_LEVEL);
    if (r.blocked == BITS_FITS)
        require(r.ns <= p.max_ns && r.bytes <= p.max_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_create();
    struct sensitivity *s;
    struct status *st = sensitivity_parse(a, "table.json", data, size, &s);

    if (st) {
        fuzz_check(st);
    } else {
        check_reads_back(a, s);
        if (s->n_units * s->n_levels <= MAX_CELLS)
            check_programme(a, s);
    }
    arena_destroy(a);
    return 0;
}
