/* SPDX-License-Identifier: Apache-2.0 */
/* Signals: DFT and STFT, window functions, MelWeightMatrix; and TfIdfVectorizer on
 * integers. */
#include "kernels/math.h"
#include "kernels/params.h"

#define TWO_PI 6.283185307179586477

/* ---- DFT -------------------------------------------------------------------- */

/* dft_table(out[length][2]): cos and sin of 2 pi k / length.  Unit: one k. */
KERNEL_FN(dft_table)
{
    const struct k_dft *const p = params;
    float *const out = buf[0];

    for (ix k = (ix)begin; k < (ix)end; k++) {
        const double angle = TWO_PI * (double)k / (double)p->length;
        out[2 * k] = (float)math_sin_turned64(angle, 1);
        out[2 * k + 1] = (float)math_sin_turned64(angle, 0);
    }
}

struct complex {
    float re, im;
};

/* Element j of the sequence to transform, padded with zeros. */
K_IN struct complex dft_input(const struct k_dft *p, const float *in,
                              const float *window, ix j)
{
    struct complex c = {0, 0};
    const int mirrored =
        p->hermitian && j >= (ix)p->n_in && (ix)p->length - j < (ix)p->n_in;
    const ix at = mirrored ? (ix)p->length - j : j;

    if (at < (ix)p->n_in) {
        const float w = window ? window[at] : 1.0f;
        c.re = in[at * (ix)p->in_step] * w;
        c.im = p->in_complex ? in[at * (ix)p->in_step + 1] * w : 0.0f;
        if (mirrored)
            c.im = -c.im;
    }
    return c;
}

K_IN ix reversed_bits(ix i, ix size)
{
    ix r = 0;

    for (; size > 1; size /= 2, i /= 2)
        r = 2 * r + i % 2;
    return r;
}

/* w = exp(-+ 2 pi i k / length), k in range. */
K_IN struct complex dft_twiddle(const struct k_dft *p, const float *table, ix k)
{
    const struct complex w = {table[2 * k],
                              p->inverse ? table[2 * k + 1] : -table[2 * k + 1]};

    return w;
}

/* Complex numbers in memory: real parts, then imaginary parts.  Side by side, gcc would
 * recognise their products and use fused instructions, whatever it is told about
 * contraction. */
struct complexes {
    float *re, *im;
};

/* Short transforms of every (length / odd)-th element, then rounds of butterflies that
 * double their length: decimation in time. */
K_IN void dft_one(const struct k_dft *p, const float *in, const float *window,
                  const float *table, struct complexes x, struct complexes y)
{
    const ix length = (ix)p->length, odd = (ix)p->odd, parts = length / odd;

    for (ix j = 0; j < length; j++) {
        const struct complex c = dft_input(p, in, window, j);
        x.re[j] = c.re;
        x.im[j] = c.im;
    }
    for (ix part = 0; part < parts; part++) {
        const ix first = reversed_bits(part, parts);
        for (ix k = 0; k < odd; k++) {
            float re = x.re[first], im = x.im[first];
            for (ix j = 1, turn = k; j < odd; j++) {
                const struct complex w = dft_twiddle(p, table, turn * parts);
                const float v_re = x.re[first + j * parts],
                            v_im = x.im[first + j * parts];
                re += v_re * w.re - v_im * w.im;
                im += v_re * w.im + v_im * w.re;
                turn += k;
                turn -= turn >= odd ? odd : 0;
            }
            y.re[part * odd + k] = re;
            y.im[part * odd + k] = im;
        }
    }
    for (ix size = odd; size < length; size *= 2)
        for (ix base = 0; base < length; base += 2 * size)
            for (ix k = base; k < base + size; k++) {
                const struct complex w =
                    dft_twiddle(p, table, (k - base) * (length / (2 * size)));
                const float b_re = y.re[k + size], b_im = y.im[k + size];
                const float t_re = b_re * w.re - b_im * w.im;
                const float t_im = b_re * w.im + b_im * w.re;
                y.re[k + size] = y.re[k] - t_re;
                y.im[k + size] = y.im[k] - t_im;
                y.re[k] += t_re;
                y.im[k] += t_im;
            }
}

/* dft_f32(in, [window,] table, out, scratch float[4*length]).  Unit: one transform. */
KERNEL_FN(dft_f32)
{
    const struct k_dft *const p = params;
    const float *const window = p->has_window ? buf[1] : 0;
    const int at = p->has_window ? 2 : 1;
    const float *const table = buf[at];
    float *const scratch = buf[at + 2];
    const struct complexes x = {scratch, scratch + p->length};
    const struct complexes y = {scratch + 2 * p->length, scratch + 3 * p->length};
    const float count = (float)p->length;

    for (ix unit = (ix)begin; unit < (ix)end; unit++) {
        const ix o = unit / (ix)p->inner, i = unit - o * (ix)p->inner;
        const float *const in =
            (const float *)buf[0] + o * (ix)p->in_outer + i * (ix)p->in_inner;
        float *const out =
            (float *)buf[at + 1] + o * (ix)p->out_outer + i * (ix)p->out_inner;
        dft_one(p, in, window, table, x, y);
        for (ix k = 0; k < (ix)p->n_out; k++) {
            float *const to = out + k * (ix)p->out_step;
            to[0] = p->inverse ? y.re[k] / count : y.re[k];
            if (p->out_complex)
                to[1] = p->inverse ? y.im[k] / count : y.im[k];
        }
    }
}

/* ---- windows, Mel ----------------------------------------------------------- */

/* window_<type>(out); unit: element. */
#define WINDOW(type, T)                                                                \
    KERNEL_FN(window_##type)                                                           \
    {                                                                                  \
        const struct k_window *const p = params;                                       \
        T *const out = buf[0];                                                         \
                                                                                       \
        for (ix k = (ix)begin; k < (ix)end; k++) {                                     \
            const double angle = TWO_PI * (double)k / (double)(p->n > 0 ? p->n : 1);   \
            const double c1 = math_sin_turned64(angle, 1);                             \
            const double c2 = math_sin_turned64(2.0 * angle, 1);                       \
            out[k] = (T)((double)p->a0 - (double)p->a1 * c1 + (double)p->a2 * c2);     \
        }                                                                              \
    }

WINDOW(f32, float)
WINDOW(f64, double)

K_IN double mel_of(double hertz)
{
    return 2595.0 * (math_log64(1.0 + hertz / 700.0) / math_log64(10.0));
}

/* Bin of the spectrum below edge i of bins + 2. */
K_IN ix mel_edge(const struct k_mel *p, ix i)
{
    const double low = mel_of((double)p->low), high = mel_of((double)p->high);
    const double mel = (double)i * ((high - low) / (double)(p->bins + 2)) + low;
    const double hertz = 700.0 * (math_exp64(mel / 2595.0 * math_log64(10.0)) - 1.0);
    const double bin = math_floor64((double)(p->length + 1) * hertz / (double)p->rate);

    return bin > 0 ? (ix)(bin < (double)p->spectrum ? bin : (double)p->spectrum) : 0;
}

/* mel_weights_f32(out [spectrum, bins]); unit: one column. */
KERNEL_FN(mel_weights_f32)
{
    const struct k_mel *const p = params;
    float *const out = buf[0];

    for (ix i = (ix)begin; i < (ix)end; i++) {
        const ix low = mel_edge(p, i), mid = mel_edge(p, i + 1),
                 high = mel_edge(p, i + 2);
        for (ix j = 0; j < (ix)p->spectrum; j++) {
            float v = 0;
            if (j >= low && j <= mid)
                v = mid == low ? 1.0f : (float)(j - low) / (float)(mid - low);
            if (j >= mid && j < high)
                v = (float)(high - j) / (float)(high - mid);
            out[j * (ix)p->bins + i] = v;
        }
    }
}

/* ---- TfIdfVectorizer -------------------------------------------------------- */

/* tfidf(x int64 [rows, columns], pool int64, grams int64[n][3], [weights,] out).  Unit:
 * one row. */
KERNEL_FN(tfidf)
{
    const struct k_tfidf *const p = params;
    const int64_t *const pool = buf[1], *const grams = buf[2];
    const float *const weights = p->has_weights ? buf[3] : 0;
    const ix columns = (ix)p->columns;

    for (ix unit = (ix)begin; unit < (ix)end; unit++) {
        const int64_t *const x = (const int64_t *)buf[0] + unit * columns;
        float *const out = (float *)buf[p->has_weights ? 4 : 3] + unit * (ix)p->n_out;
        for (ix i = 0; i < (ix)p->n_out; i++)
            out[i] = 0;
        for (ix step = 1; step <= (ix)p->skips + 1; step++)
            for (ix g = 0; g < (ix)p->n_grams; g++) {
                const ix first = (ix)grams[3 * g], n = (ix)grams[3 * g + 1];
                /* Single words do not skip; they are counted once. */
                if (n < (ix)p->shortest || n > (ix)p->longest || (n == 1 && step > 1))
                    continue;
                for (ix s = 0; s + (n - 1) * step < columns; s++) {
                    int same = 1;
                    for (ix k = 0; k < n && same; k++)
                        same = x[s + k * step] == pool[first + k];
                    out[grams[3 * g + 2]] += same ? 1.0f : 0.0f;
                }
            }
        for (ix i = 0; i < (ix)p->n_out; i++) {
            const float w = weights ? weights[i] : 1.0f;
            if (p->mode == 1)
                out[i] = out[i] > 0 ? w : 0.0f;
            else if (p->mode == 2)
                out[i] = out[i] * w;
        }
    }
}
