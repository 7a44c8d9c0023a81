/* SPDX-License-Identifier: Apache-2.0 */
// links: games agents
/* Whole controllers: what they promise whatever they are used for. */
#include "tests/test.h"

#include <math.h>

#include "search/agents/noise.h"
#include "search/agents/policy_file.h"
#include "search/agents/ppo.h"
#include "search/agents/qmix.h"
#include "tests/games/probe_game.h"

static struct controller_options small(enum controller_kind kind)
{
    struct controller_options o = controller_defaults(kind);

    CHECK_OK(blas_open());
    o.n_iterations = 10;
    o.n_episodes = 16;
    o.n_hidden = 2;
    o.actor_hidden[0] = o.critic_hidden[0] = 32;
    o.actor_hidden[1] = o.critic_hidden[1] = 32;
    o.rate = (struct ramp){3e-3, 3e-3};
    o.batch = 64;
    return o;
}

static struct text export(struct controller *c)
{
    struct text t = {0};

    CHECK(controller_export(c, &t));
    return t;
}

/* ---- ratios
 * ----------------------------------------------------------------------------- */

static void check_ratio_is_one(struct controller_options o)
{
    static struct probe_game game;
    const struct environment e = probe_environment(&game);
    struct controller *c = controller_create(&e, &o, 1);
    struct ppo *p = controller_self(c);
    struct controller_report report = {0};

    for (int i = 0; i < 3; i++) {
        controller_iterate(c, &report);
        CHECK(report.first_ratio < 1e-5); /* floats, batches of another size */
    }
    player_collect(p->player, &report);
    learner_judge(p->learner);
    learner_evaluate(p->learner);
    for (int i = 0; i < p->player->rollout.n_rows; i++) {
        const struct rollout_row *r = &p->player->rollout.rows[i];

        if (r->free)
            CHECK(fabs(r->log_p - r->drawn_log_p) < 1e-4);
    }
    for (int k = 0; k < p->team->n_actors; k++) {
        struct learner_means means = {0};
        double by_weight[MIXTURE_MAX] = {0};

        learner_actor_loss(p->learner, k, 0.2, 0, by_weight, &means);
        CHECK(means.n > 0);
        CHECK(means.furthest < 1e-6);
        CHECK(means.kl / means.n < 1e-9);
        CHECK(means.clipped == 0);
    }
    controller_destroy(c);
}

TEST(unchanged_actors_have_ratio_one_and_nothing_is_clipped)
{
    struct controller_options o = small(CONTROLLER_mappo);

    for (enum controller_kind k = CONTROLLER_mappo; k <= CONTROLLER_ppo; k++)
        check_ratio_is_one(small(k));
    o.temperature_rise = 1;
    check_ratio_is_one(o);
    o.n_policies = 3;
    check_ratio_is_one(o);
    o.n_lstm = 16;
    check_ratio_is_one(o);
}

/* ---- the same seed
 * ------------------------------------------------------------------------ */

static struct text bytes_after(struct controller_options o, uint64_t seed)
{
    static struct probe_game game;
    const struct environment e = probe_environment(&game);
    struct controller *c = controller_create(&e, &o, seed);
    struct controller_report report;

    for (int i = 0; i < 4; i++)
        controller_iterate(c, &report);

    const struct text t = export(c);

    controller_destroy(c);
    return t;
}

TEST(the_same_seed_gives_the_same_bytes_at_any_number_of_threads)
{
    for (enum controller_kind k = CONTROLLER_mappo; k <= CONTROLLER_ppo; k++) {
        struct controller_options o = small(k);
        struct text one = bytes_after(o, 5), other = bytes_after(o, 6);

        CHECK(one.len != other.len || memcmp(one.bytes, other.bytes, one.len) != 0);
        for (int n = 2; n <= 8; n *= 2) {
            o.n_threads = n;

            struct text again = bytes_after(o, 5);

            CHECK_EQ(again.len, one.len);
            CHECK_BYTES(again.bytes, one.bytes, one.len);
            text_free(&again);
        }
        text_free(&one);
        text_free(&other);
    }
}

/* ---- who sees what
 * ---------------------------------------------------------------------------- */

/* Choices of others reach the input of an autoregressive actor, of no factored one; a
 * critic never sees the choice that it judges. */
TEST(actors_and_critics_see_earlier_choices_and_no_others)
{
    static struct probe_game game;
    const struct environment e = probe_environment(&game);
    struct controller_options o = small(CONTROLLER_mappo);
    struct controller *c = controller_create(&e, &o, 1);
    struct ppo *p = controller_self(c);
    struct controller_report report = {0};
    const int heard = environment_n_heard(&e, 3);

    CHECK_EQ(heard, 4 + 2 + 3);
    CHECK_EQ(p->team->actors[0]->n_in, 5);
    CHECK_EQ(p->team->actors[1]->n_in, 5 + 4);
    CHECK_EQ(p->team->actors[2]->n_in, 5 + 4 + 2);
    CHECK_EQ(p->learner->critics[0]->n_in, 6 + heard + 3);
    player_collect(p->player, &report);
    for (int i = 0; i < p->player->rollout.n_rows; i++) {
        const struct rollout_row *r = &p->player->rollout.rows[i];
        const real *const at = p->player->rollout.heard + i * heard;
        int n = 0;

        for (int k = 0; k < heard; k++)
            if (k >= environment_n_heard(&e, r->agent))
                CHECK(at[k] == 0);
            else
                n += at[k] == 1;
        CHECK(r->agent == 0 ? n == 0 : n == 1); /* agent 0's one-hot */
    }
    controller_destroy(c);

    o.coordination = COORDINATION_FACTORED;
    c = controller_create(&e, &o, 1);
    p = controller_self(c);
    for (int k = 0; k < 3; k++)
        CHECK_EQ(p->team->actors[k]->n_in, 5);
    controller_destroy(c);
}

/* ---- learning something
 * ------------------------------------------------------------------------ */

static double mean_play(struct controller *c)
{
    double sum = 0;

    for (int i = 0; i < 50; i++)
        sum += controller_play(c, 0, 900 + (uint64_t)i, PLAY_BEST, NULL, NULL) / 50;
    return sum;
}

/* The best is 6, one a unit; MADDPG swings most on its way there. */
TEST(every_controller_learns_a_game_with_masks_and_a_continuous_agent)
{
    static struct probe_game game;
    const struct environment e = probe_environment(&game);

    for (enum controller_kind k = 0; k < CONTROLLER_COUNT; k++) {
        struct controller_options o = small(k);
        struct controller_report report;

        o.n_iterations = 40;
        o.actor_rate = 3e-3;
        o.steps_per_episode = 4;

        struct controller *c = controller_create(&e, &o, 1);
        const double before = mean_play(c);

        for (int i = 0; i < o.n_iterations; i++)
            controller_iterate(c, &report);
        CHECK(mean_play(c) > 5);
        CHECK(mean_play(c) > before + 1);
        controller_destroy(c);
    }
}

static double recall_after(int n_lstm)
{
    static struct probe_game game;
    const struct environment e = recall_environment(&game);
    struct controller_options o = small(CONTROLLER_mappo);
    struct controller_report report;

    o.n_iterations = 40;
    o.n_episodes = 32;
    o.n_lstm = n_lstm;
    o.rate = (struct ramp){1e-2, 1e-3};
    o.max_kl = 0;

    struct controller *c = controller_create(&e, &o, 2);

    for (int i = 0; i < o.n_iterations; i++)
        controller_iterate(c, &report);

    const double result = mean_play(c);

    controller_destroy(c);
    return result;
}

/* What counts is seen five decisions earlier. */
TEST(an_lstm_remembers_and_a_plain_actor_does_not)
{
    CHECK(recall_after(16) > 0.99);
    CHECK(recall_after(0) < 0.7);
}

/* ---- options
 * ------------------------------------------------------------------------------------
 */

/* Two policies, one for each of two actions, and a reward for the second action. */
TEST(an_ensemble_turns_to_its_better_policy)
{
    static struct probe_game game;
    const struct environment e = recall_environment(&game);
    struct controller_options o = small(CONTROLLER_mappo);
    struct controller_report report;

    o.n_policies = 2;
    o.n_hidden = 0;
    o.rate = (struct ramp){1e-2, 1e-2};
    o.max_kl = 0;

    struct controller *c = controller_create(&e, &o, 2);
    struct ppo *p = controller_self(c);
    struct actor *a = p->team->actors[0];

    a->nets[0]->w[a->nets[0]->layers[0].b + 1] = 3;
    a->nets[1]->w[a->nets[1]->layers[0].b + 1] = -3;
    for (int i = 0; i < 30; i++) {
        player_collect(p->player, &report);
        for (int k = 0; k < p->player->rollout.n_rows; k++) {
            struct rollout_row *r = &p->player->rollout.rows[k];

            if (r->end == EPISODE_TERMINATED)
                r->reward = r->action.choice;
        }
        learner_judge(p->learner);
        learner_evaluate(p->learner);
        learner_learn(p->learner, &report);
    }
    CHECK(mixture_of(2, a->weights).share[0] > 0.8); /* both learn as well */
    controller_destroy(c);
}

TEST(the_curriculum_unlocks_units)
{
    static struct probe_game game;
    const struct environment e = probe_environment(&game);
    struct controller_options o = small(CONTROLLER_mappo);
    struct controller_report report;

    o.curriculum = true;
    o.n_iterations = 6;

    struct controller *c = controller_create(&e, &o, 1);
    const double want[6] = {0.3, 0.6, 0.6, 1, 1, 1};

    for (int i = 0; i < 6; i++) {
        controller_iterate(c, &report);
        CHECK(game.unlocked == want[i]);
    }
    controller_destroy(c);
}

/* Locked units have one legal action: with few of them open, few rows are free. */
TEST(locked_units_teach_nothing)
{
    static struct probe_game game;
    const struct environment e = probe_environment(&game);
    struct controller_options o = small(CONTROLLER_mappo);
    struct controller *c = controller_create(&e, &o, 1);
    struct ppo *p = controller_self(c);
    struct controller_report report = {0};

    game.unlocked = 0.3; /* units 0 and 1 of 6 */
    player_collect(p->player, &report);
    for (int i = 0; i < p->player->rollout.n_rows; i++) {
        const struct rollout_row *r = &p->player->rollout.rows[i];

        if (r->legal == 2 && r->agent != 1)
            CHECK(!r->free && r->action.choice == 1);
    }
    controller_destroy(c);
}

TEST(heat_makes_draws_more_even_and_keeps_their_probabilities)
{
    static struct probe_game game;
    const struct environment e = probe_environment(&game);
    struct controller_options o = small(CONTROLLER_mappo);
    struct controller *c = controller_create(&e, &o, 1);
    struct ppo *p = controller_self(c);
    struct controller_report report = {0};
    double entropy[2] = {0};

    for (int hot = 0; hot < 2; hot++) {
        controller_heat(c, hot ? 5 : 1);
        player_collect(p->player, &report);
        learner_judge(p->learner);
        learner_evaluate(p->learner);
        for (int i = 0; i < p->player->rollout.n_rows; i++) {
            const struct rollout_row *r = &p->player->rollout.rows[i];

            entropy[hot] += r->agent == 0 && r->free ? r->entropy : 0;
            CHECK(!r->free || fabs(r->log_p - r->drawn_log_p) < 1e-4);
        }
    }
    CHECK(entropy[1] > 1.1 * entropy[0]);
    controller_destroy(c);
}

/* ---- export
 * -------------------------------------------------------------------------------------
 */

struct diary {
    int n;
    struct action actions[64];
};

static void watch(void *arg, const struct decision *d, const struct action *a,
                  double confidence)
{
    struct diary *diary = arg;

    (void)d;
    CHECK(confidence >= 0 && confidence <= 1);
    diary->actions[diary->n++] = *a;
}

/* Pruned actors decide the same after they were written and read, and a pruned weight
 * is exactly 0 in the file: it takes a bit. */
TEST(exported_actors_decide_the_same_without_critic)
{
    static struct probe_game game;
    const struct environment e = probe_environment(&game);
    struct controller_options o = small(CONTROLLER_mappo);
    struct controller_report report;
    struct arena *arena = arena_create();
    struct team *read;

    o.n_iterations = 20;
    o.anneal = (struct anneal){ANNEAL_HARMONIC, 0, 20, 0, .8, .06, 2};

    struct controller *c = controller_create(&e, &o, 1);
    struct ppo *p = controller_self(c);

    for (int i = 0; i < 20; i++)
        controller_iterate(c, &report);
    CHECK(fabs(report.sparsity - .8) < 0.01);

    struct text file = export(c);

    CHECK_OK(policy_read(arena, "actors", file.bytes, file.len, &e, &read));
    for (int k = 0; k < 3; k++) {
        const struct net *n = p->team->actors[k]->nets[0],
                         *again = read->actors[k]->nets[0];

        CHECK_BYTES(again->w, n->w, (size_t)n->n * sizeof *n->w);
        for (int64_t i = 0; i < n->n; i++)
            CHECK(n->kept[i] || again->w[i] == 0);
    }

    struct diary first = {0}, second = {0};

    controller_play(c, 0, 4, PLAY_BEST, watch, &first);
    p->team = read;
    memset(p->learner->critics[0]->net->w, 0,
           (size_t)p->learner->critics[0]->net->n * sizeof(real));
    controller_play(c, 0, 4, PLAY_BEST, watch, &second);
    CHECK_EQ(first.n, second.n);
    CHECK_BYTES(first.actions, second.actions, sizeof first.actions);

    /* Cut anywhere, or followed by something, it is refused. */
    for (size_t len = 0; len < file.len; len += 1 + file.len / 97)
        CHECK_FAILS(policy_read(arena, "actors", file.bytes, len, &e, &read), INVALID,
                    len < 8 ? "no file of actors" : "cut short");
    text_append(&file, "", 1);
    CHECK_FAILS(policy_read(arena, "actors", file.bytes, file.len, &e, &read), INVALID,
                "goes on");
    file.bytes[12] = 4;
    CHECK_FAILS(policy_read(arena, "actors", file.bytes, file.len, &e, &read), INVALID,
                "4 for agents");
    text_free(&file);
    arena_destroy(arena);
    controller_destroy(c);
}
