/* SPDX-License-Identifier: Apache-2.0 */
/* Splits: see splits.h. */
#include "frontend/splits.h"

#include <stdlib.h>

#include "runtime/sha256.h"
#include "support/random.h"

/* Sample numbers, shuffled, and what is still unused of them. */
struct pool {
    enum dataset_split from;
    int64_t n, *at;
};

static struct pool make_pool(const struct dataset *d, enum dataset_split split,
                             uint64_t seed, struct arena *a)
{
    /* A split's order does not depend on what else the set has. */
    struct random r = random_seeded(seed ^ (uint64_t)split << 56);
    struct pool p = {split, d->split[split].n,
                     arena_new_array(a, int64_t, d->split[split].n)};

    for (int64_t i = 0; i < p.n; i++)
        p.at[i] = i;
    random_shuffle(&r, p.at, p.n);
    for (int64_t i = 0; i < p.n; i++)
        p.at[i] += d->split[split].first;
    return p;
}

static struct pool take(struct pool *p, int64_t n)
{
    const struct pool taken = {p->from, n, p->at};

    p->n -= n;
    p->at += n;
    return taken;
}

/* ---- the table of splits.h ------------------------------------------------------- */

static bool has(const struct dataset *d, enum dataset_split s)
{
    return d->split[s].n > 0;
}

static int n_splits(const struct dataset *d)
{
    int n = 0;

    for (int s = 0; s < DATASET_N_SPLITS; s++)
        n += has(d, (enum dataset_split)s);
    return n;
}

static enum dataset_split only_split(const struct dataset *d)
{
    for (int s = 0; s < DATASET_N_SPLITS; s++)
        if (has(d, (enum dataset_split)s))
            return (enum dataset_split)s;
    return DATASET_UNNAMED;
}

/* Calibration and validation from one pool. */
static void share(struct pool from, bool wants_validation, struct pool *use)
{
    const int64_t n = wants_validation ? (from.n + 1) / 2 : from.n;

    use[SPLITS_CALIBRATION] = take(&from, n);
    use[SPLITS_VALIDATION] = take(&from, wants_validation ? from.n : 0);
}

static void assign_one(struct pool all, bool wants_validation, struct pool *use)
{
    const int64_t quarter = all.n / 4 ? all.n / 4 : all.n > 0;

    share(take(&all, quarter), wants_validation, use);
    use[SPLITS_TEST] = all;
}

/* What `d` has beside samples without a name, which join the training samples' role. */
static void assign(const struct dataset *d, const struct splits_options *o,
                   struct arena *a, struct pool *use)
{
    struct pool pool[DATASET_N_SPLITS];
    enum dataset_split tune = DATASET_TRAIN;

    for (int s = 0; s < DATASET_N_SPLITS; s++)
        pool[s] = make_pool(d, (enum dataset_split)s, o->seed, a);
    if (n_splits(d) == 1) {
        assign_one(pool[only_split(d)], o->wants_validation, use);
        return;
    }
    if (!has(d, DATASET_TRAIN))
        tune = has(d, DATASET_UNNAMED) ? DATASET_UNNAMED : DATASET_VAL;
    use[SPLITS_TEST] = pool[has(d, DATASET_TEST)  ? DATASET_TEST
                            : has(d, DATASET_VAL) ? DATASET_VAL
                                                  : DATASET_UNNAMED];
    share(pool[tune], o->wants_validation, use);
    if (o->wants_validation && tune != DATASET_VAL && has(d, DATASET_VAL)
        && has(d, DATASET_TEST)) {
        use[SPLITS_CALIBRATION] = pool[tune];
        use[SPLITS_VALIDATION] = pool[DATASET_VAL];
    }
}

/* ---- lists ----------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void digest_of(const int64_t *at, int64_t n, uint8_t *out)
{
    struct sha256 h;

    sha256_begin(&h);
    for (int64_t i = 0; i < n; i++) {
        uint8_t bytes[8];

        for (int k = 0; k < 8; k++)
            bytes[k] = (uint8_t)((uint64_t)at[i] >> 8 * k);
        sha256_add(&h, bytes, sizeof bytes);
    }
    sha256_end(&h, out);
}

struct splits splits_make(const struct dataset *d, const struct splits_options *options,
                          struct arena *a)
{
    struct splits s = {.seed = options->seed};
    struct pool use[SPLITS_N_USES] = {0};

    assign(d, options, a, use);
    for (int u = 0; u < SPLITS_N_USES; u++) {
        const int64_t most = options->most[u];
        const int64_t n = most && most < use[u].n ? most : use[u].n;

        if (n)
            qsort(use[u].at, (size_t)n, sizeof *use[u].at, by_number);
        s.use[u].n = n;
        s.use[u].at = use[u].at;
        s.use[u].from = use[u].from;
        digest_of(use[u].at, n, s.use[u].sha256);
    }
    return s;
}

struct status *splits_digest(const struct splits *s, const struct dataset *d,
                             int n_uses, uint8_t out[32])
{
    struct sha256 h;
    uint8_t one[32];

    sha256_begin(&h);
    for (int u = 0; u < n_uses; u++) {
        RETURN_IF_FAIL(dataset_digest(d, s->use[u].n, s->use[u].at, one));
        sha256_add(&h, one, sizeof one);
    }
    sha256_end(&h, out);
    return OK;
}

void splits_print_json(const struct splits *s, struct text *out)
{
    static const char *const names[] = {"calibration", "validation", "test"};

    text_printf(out, "{\"seed\": %llu", (unsigned long long)s->seed);
    for (int u = 0; u < SPLITS_N_USES; u++) {
        text_printf(
            out, ", \"%s\": {\"from\": \"%s\", \"samples\": %lld, \"sha256\": \"",
            names[u], dataset_split_name(s->use[u].from), (long long)s->use[u].n);
        for (int i = 0; i < 32; i++)
            text_printf(out, "%02x", s->use[u].sha256[i]);
        text_puts(out, "\"}");
    }
    text_puts(out, "}");
}
