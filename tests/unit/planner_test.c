/* SPDX-License-Identifier: Apache-2.0 */
// links: codegen frontend kernels
/* The planner's promise, checked by playing every program through: whoever reads a
 * tensor finds what was written there last under the same name. */
#include "tests/test.h"

#include <stdlib.h>

#include "codegen/program.h"

enum { MAX_BYTES = 1 << 20 };

static uint32_t seed;

static int draw(int n)
{
    seed = seed * 1664525u + 1013904223u;
    return (int)((seed >> 8) % (uint32_t)n);
}

/* One op per element over `count` floats: t[out] = relu(t[in]) or a sum of two. */
static struct chain *element_chain(struct arena *a, int n_in, int64_t count)
{
    struct chain *ch = arena_new(a, struct chain);

    for (int d = 0; d < K_MAX_RANK; d++)
        ch->dim[d] = d == K_MAX_RANK - 1 ? count : 1;
    ch->n_in = n_in;
    ch->stride = arena_alloc_array(a, (size_t)n_in, sizeof *ch->stride);
    for (int k = 0; k < n_in; k++)
        ch->stride[k][K_MAX_RANK - 1] = 1;
    ch->n_out = 1;
    return ch;
}

static int add_tensor(struct program *p, int64_t bytes)
{
    p->tensors[p->n_tensors] = (struct ptensor){.bytes = bytes,
                                                .place = IN_WORKSPACE,
                                                .alias_of = -1,
                                                .io_index = -1,
                                                .first = -1,
                                                .last = -1};
    return p->n_tensors++;
}

static struct step *add_step(struct program *p, enum step_kind kind)
{
    p->steps[p->n_steps] = (struct step){.kind = kind, .target = -1};
    return &p->steps[p->n_steps++];
}

static void use(struct step *s, int tensor, bool written)
{
    s->operands[s->n_operands++] = (struct operand){tensor, 0, written};
}

static struct program *empty_program(struct arena *a, int n)
{
    struct program *p = arena_new(a, struct program);

    p->tensors = arena_new_array(a, struct ptensor, n);
    p->steps = arena_new_array(a, struct step, n);
    p->max_workers = 1;
    return p;
}

/* Each step reads one or two of the last few tensors and makes a new one. */
static struct program *random_program(struct arena *a, int n_steps)
{
    struct program *p = empty_program(a, 2 * n_steps + 2);
    const int64_t sizes[] = {4, 64, 100, 1024, 4000, 4096, 65536};

    add_tensor(p, 4096);
    use(add_step(p, STEP_LIBRARY), 0, true);
    for (int i = 1; i < n_steps; i++) {
        const bool element = draw(2);
        const int from = p->n_tensors - 1 - draw(p->n_tensors < 6 ? p->n_tensors : 6);
        const int64_t bytes = element ? p->tensors[from].bytes : sizes[draw(7)];
        struct step *s = add_step(p, element ? STEP_CHAIN : STEP_LIBRARY);
        const int other = p->n_tensors - 1 - draw(p->n_tensors < 9 ? p->n_tensors : 9);

        use(s, from, false);
        if (element)
            s->u.chain = element_chain(a, 1, bytes / 4);
        else
            use(s, other, false);
        use(s, add_tensor(p, bytes), true);
        s->scratch_bytes = draw(4) ? 0 : 64 * (1 + draw(40));
    }
    /* some tensors are parts of others */
    for (int t = 1; t < p->n_tensors; t++)
        if (draw(10) == 0 && p->tensors[t].bytes <= 1024) {
            const int whole = add_tensor(p, 4096);

            p->tensors[t].alias_of = whole;
            p->tensors[t].alias_offset = 1024;
            use(&p->steps[p->n_steps - 1], whole, false);
        }
    return p;
}

static int64_t address(const struct program *p, int tensor)
{
    int64_t at;
    const int root = program_root(p, tensor, &at);

    return p->tensors[root].offset + at;
}

/* Plays the program over bytes that know which tensor wrote them. */
static bool plays(const struct program *p, int *owner)
{
    bool *made = calloc((size_t)p->n_tensors, 1);
    bool good = true;

    for (int i = 0; i < p->n_steps && good; i++) {
        const struct step *s = &p->steps[i];

        for (int k = 0; k < s->n_operands; k++) {
            const int t = s->operands[k].tensor;

            for (int64_t b = 0;
                 made[t] && !s->operands[k].written && b < p->tensors[t].bytes; b++)
                good &= owner[address(p, t) + b] == t;
        }
        for (int64_t b = 0; b < s->scratch_bytes; b++)
            owner[s->scratch_offset + b] = -1;
        for (int k = 0; k < s->n_operands; k++) {
            const int t = s->operands[k].tensor;

            if (!s->operands[k].written)
                continue;
            made[t] = true;
            for (int64_t b = 0; b < p->tensors[t].bytes; b++)
                owner[address(p, t) + b] = t;
        }
        /* inputs that are read again must have survived this step */
        for (int k = 0; k < s->n_operands; k++)
            good &= address(p, s->operands[k].tensor)
                        + p->tensors[s->operands[k].tensor].bytes
                    <= p->workspace_bytes;
    }
    free(made);
    return good;
}

TEST(planner_keeps_every_tensor_until_its_last_reader)
{
    int *owner = calloc(MAX_BYTES, sizeof *owner);

    for (int round = 0; round < 300; round++) {
        struct arena *a = arena_create();

        seed = (uint32_t)round;
        struct program *p = random_program(a, 4 + draw(40));

        planner_place(p);
        CHECK(p->workspace_bytes <= MAX_BYTES);
        CHECK(plays(p, owner));
        CHECK(p->workspace_bytes >= planner_lower_bound(p));
        arena_destroy(a);
    }
    free(owner);
}

TEST(planner_comes_close_to_the_lower_bound_on_random_programs)
{
    double worst = 1.0;

    for (int round = 0; round < 100; round++) {
        struct arena *a = arena_create();

        seed = 1000u + (uint32_t)round;
        struct program *p = random_program(a, 60);

        planner_place(p);
        const double ratio =
            (double)p->workspace_bytes / (double)planner_lower_bound(p);

        worst = ratio > worst ? ratio : worst;
        arena_destroy(a);
    }
    CHECK(worst <= 1.15);
}

/* x -> relu -> relu -> relu: one buffer is enough. */
TEST(planner_writes_element_results_over_dying_inputs)
{
    struct arena *a = arena_create();
    struct program *p = empty_program(a, 8);

    use(add_step(p, STEP_LIBRARY), add_tensor(p, 4096), true);
    for (int i = 0; i < 3; i++) {
        struct step *s = add_step(p, STEP_CHAIN);

        s->u.chain = element_chain(a, 1, 1024);
        use(s, i, false);
        use(s, add_tensor(p, 4096), true);
    }
    use(add_step(p, STEP_LIBRARY), 3, false);
    planner_place(p);
    CHECK_EQ(p->workspace_bytes, 4096);
    arena_destroy(a);
}

/* A tensor that a loop reads must outlive every round, not only the first. */
TEST(planner_keeps_what_a_loop_reads_until_the_loop_ends)
{
    struct arena *a = arena_create();
    struct program *p = empty_program(a, 8);
    const int before = add_tensor(p, 640), first = add_tensor(p, 640),
              second = add_tensor(p, 640);

    use(add_step(p, STEP_LIBRARY), before, true);
    struct step *s = add_step(p, STEP_LIBRARY); /* loop starts here */
    use(s, before, false);
    use(s, first, true);
    s = add_step(p, STEP_LIBRARY);
    use(s, first, false);
    use(s, second, true);
    use(add_step(p, STEP_LIBRARY), second, false);
    add_step(p, STEP_JUMP)->target = 1;
    planner_place(p);
    CHECK(p->tensors[before].offset != p->tensors[second].offset);
    CHECK_EQ(p->workspace_bytes, 3 * 640);
    arena_destroy(a);
}

TEST(planner_reserves_scratch_for_every_worker)
{
    struct arena *a = arena_create();
    struct program *p = empty_program(a, 4);

    p->max_workers = 3;
    struct step *s = add_step(p, STEP_LIBRARY);
    use(s, add_tensor(p, 64), true);
    s->scratch_bytes = 128;
    planner_place(p);
    CHECK_EQ(p->workspace_bytes, 64 + 3 * 128);
    arena_destroy(a);
}
