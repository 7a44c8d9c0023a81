/* SPDX-License-Identifier: Apache-2.0 */
/* A static program without libc for AArch64 Linux that runs cross_cases[] (cross.h) and
 * exits with 1 + the number of the first one that is wrong, at most 255; 0 for none. */
#include <stddef.h>

#include "tests/cross/cross.h"

extern const struct cross_case cross_cases[];
extern const int64_t cross_n_cases;

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
_Noreturn void _start(void);

void *memcpy(void *to, const void *from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;

    for (size_t i = 0; i < n; i++)
        t[i] = f[i];
    return to;
}

void *memset(void *to, int c, size_t n)
{
    uint8_t *t = to;

    for (size_t i = 0; i < n; i++)
        t[i] = (uint8_t)c;
    return to;
}

static uint8_t memory[CROSS_MAX_OUT + 2 * CROSS_GUARD];

static int is_right(const struct cross_case *c, const uint8_t *out)
{
    for (int64_t i = 0; i < c->n_out; i++)
        if (out[i] != c->want[i])
            return 0;
    for (int64_t i = 1; i <= CROSS_GUARD; i++)
        if (out[-i] != CROSS_FILL || out[c->n_out + i - 1] != CROSS_FILL)
            return 0;
    return 1;
}

static int passes(const struct cross_case *c)
{
    uint8_t *out = memory + CROSS_GUARD;

    memset(memory, CROSS_FILL, sizeof memory);
    c->core(c->in, c->weights, c->epilogue, c->residual, out, NULL, 0, c->units);
    if (!is_right(c, out))
        return 0;
    memset(memory, CROSS_FILL, sizeof memory);
    c->core(c->in, c->weights, c->epilogue, c->residual, out, NULL, c->cut, c->units);
    c->core(c->in, c->weights, c->epilogue, c->residual, out, NULL, 0, c->cut);
    return is_right(c, out);
}

static _Noreturn void leave(long code)
{
    register long x8 __asm__("x8") = 93, x0 __asm__("x0") = code;

    __asm__ volatile("svc 0" : : "r"(x8), "r"(x0) : "memory");
    __builtin_unreachable();
}

_Noreturn void _start(void)
{
    for (int64_t i = 0; i < cross_n_cases; i++)
        if (!passes(&cross_cases[i]))
            leave(i < 254 ? i + 1 : 255);
    leave(0);
}
