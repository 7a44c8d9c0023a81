/* SPDX-License-Identifier: Apache-2.0 */
// links: traindouble support
/* Losses against published numbers and finite differences, in double; optimizers step
 * by step. */
#include "tests/test.h"

#include <math.h>

#include "train/loss.h"
#include "train/optimizer.h"

static bool near(double a, double b, double apart)
{
    return fabs(a - b) <= apart;
}

/* ---- values --------------------------------------------------------------------- */

static const real student[] = {1, 0, -0.5}, teacher[] = {2, -1, 0.5};

TEST(distillation_is_t_squared_times_the_divergence)
{
    CHECK(near(loss_distillation(3, student, teacher, 1, 1, NULL), 0.1448323, 5e-8));
    CHECK(near(loss_distillation(3, student, teacher, 4, 1, NULL), 0.3731763, 5e-8));
    CHECK(near(loss_distillation(3, student, teacher, 20, 1, NULL), 0.4321246, 5e-8));
    CHECK(near(loss_distillation(3, teacher, teacher, 4, 1, NULL), 0, 1e-15));
}

/* As T grows: the mean square of the centred differences, -1, 1, -1, times n / 2 n. */
TEST(distillation_at_a_high_temperature_compares_centred_logits)
{
    CHECK(near(loss_distillation(3, student, teacher, 1e5, 1, NULL), 4.0 / 9, 1e-5));
}

TEST(cross_entropy_of_equal_scores_is_the_logarithm_of_their_number)
{
    const real z[] = {7, 7, 7, 7};

    CHECK(near(loss_cross_entropy(4, z, 2, 1, NULL), log(4), 1e-15));
}

TEST(large_logits_overflow_nothing)
{
    const real z[] = {1000, -1000};

    CHECK(near(loss_cross_entropy(2, z, 1, 1, NULL), 2000, 1e-9));
    CHECK(isfinite(loss_distillation(2, z, (real[]){-1000, 1000}, 1, 1, NULL)));
}

/* (1 + 4) / 2 */
TEST(mean_square_is_a_mean)
{
    CHECK(loss_mean_square(2, (real[]){1, 3}, (real[]){2, 1}, 1, NULL) == 2.5);
}

/* ---- gradients ------------------------------------------------------------------ */

enum { N = 5 };

static const real z[N] = {0.3, -1.2, 0.8, 2.1, -0.4},
                  other[N] = {1.1, 0.2, -0.7, 1.5, 0};

static double loss_number(int which, const real *x, real *d)
{
    switch (which) {
    case 0:
        return loss_cross_entropy(N, x, 3, 0.5, d);
    case 1:
        return loss_distillation(N, x, other, 3, 0.5, d);
    default:
        return loss_mean_square(N, x, other, 0.5, d);
    }
}

TEST(gradients_of_losses_agree_with_finite_differences_and_are_added)
{
    for (int which = 0; which < 3; which++) {
        real d[N] = {1, 1, 1, 1, 1};

        loss_number(which, z, d);
        for (int i = 0; i < N; i++) {
            real x[N];
            double up, down;

            memcpy(x, z, sizeof x);
            x[i] = z[i] + 1e-6;
            up = loss_number(which, x, NULL);
            x[i] = z[i] - 1e-6;
            down = loss_number(which, x, NULL);
            CHECK(near(d[i] - 1, 0.5 * (up - down) / 2e-6, 1e-8));
        }
    }
}

/* ---- optimizers ----------------------------------------------------------------- */

/* g = 2, decay 0.5, w = 4: 2 + 2. v = 4, w = 4 - 0.1 * 4; then 2 + 1.8, v = 3.6 + 3.8.
 */
TEST(momentum_adds_up)
{
    const struct optimizer o = {.kind = OPTIMIZER_SGD, .momentum = 0.9};
    real w[] = {4}, v[] = {0}, m[] = {0};

    optimizer_step(&o, 0, 0.1, 0.5, 1, (real[]){2}, w, m, v);
    CHECK(near(w[0], 3.6, 1e-12));
    optimizer_step(&o, 1, 0.1, 0.5, 1, (real[]){2}, w, m, v);
    CHECK(near(w[0], 3.6 - 0.74, 1e-12));
}

/* v = 1, w = -0.1 (1 + 0.9). */
TEST(nesterov_looks_ahead)
{
    const struct optimizer o = {
        .kind = OPTIMIZER_SGD, .momentum = 0.9, .nesterov = true};
    real w[] = {0}, v[] = {0}, m[] = {0};

    optimizer_step(&o, 0, 0.1, 0, 1, (real[]){1}, w, m, v);
    CHECK(near(w[0], -0.19, 1e-12));
}

/* The first step is `rate` long, whatever the gradient; AdamW decays beside it. */
TEST(adam_begins_with_a_step_of_the_rate)
{
    const struct optimizer adam = {.kind = OPTIMIZER_ADAM, .momentum = 0.9};
    const struct optimizer adamw = {.kind = OPTIMIZER_ADAMW, .momentum = 0.9};
    real w[] = {2, 2}, m[] = {0, 0}, v[] = {0, 0};
    real w2[] = {2}, m2[] = {0}, v2[] = {0};

    optimizer_step(&adam, 0, 0.1, 0, 2, (real[]){5, -0.01}, w, m, v);
    CHECK(near(w[0], 1.9, 1e-6) && near(w[1], 2.1, 1e-6));
    optimizer_step(&adamw, 0, 0.1, 0.25, 1, (real[]){5}, w2, m2, v2);
    CHECK(near(w2[0], 1.9 - 0.1 * 0.25 * 2, 1e-6));
}

TEST(the_rate_warms_up_and_falls_along_a_cosine)
{
    struct optimizer o = {.rate = 1, .warmup = 4, .steps = 12};

    CHECK(near(optimizer_rate(&o, 0), 0.25, 1e-12));
    CHECK(near(optimizer_rate(&o, 3), 1, 1e-12));
    CHECK(near(optimizer_rate(&o, 4), 1, 1e-12));
    CHECK(near(optimizer_rate(&o, 8), 0.5, 1e-12));
    o.schedule = SCHEDULE_STEPS;
    CHECK(near(optimizer_rate(&o, 7), 1, 1e-12));
    CHECK(near(optimizer_rate(&o, 8), 0.1, 1e-12));
    CHECK(near(optimizer_rate(&o, 10), 0.01, 1e-12));
}
