/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that compare and order elements: TopK, Unique, NonMaxSuppression, and
 * MaxUnpool, which puts elements back where a pool found them. */
#include "kernels/elements.h"
#include "kernels/math.h"
#include "kernels/params.h"

/* NaN counts as larger than everything and equal to itself: a total order. */
#define IS_LESS(a, b) ((a) < (b) || ((b) != (b) && (a) == (a)))

/* ---- TopK ------------------------------------------------------------------- */

/* topk_<type>(in, values, index int64, scratch int32[count]): rows of [outer, n, inner]
 * along n; flag 1 takes the largest.  Of equal elements the first wins.  Unit: one row.
 * A heap of the best so far, the worst of them on top. */
#define TOPK(type, T)                                                                  \
    K_IN int topk_ahead_##type(const T *row, ix step, ix largest, int32_t a,           \
                               int32_t b)                                              \
    {                                                                                  \
        const T x = row[a * step], y = row[b * step];                                  \
        if (largest ? IS_LESS(y, x) : IS_LESS(x, y))                                   \
            return 1;                                                                  \
        if (largest ? IS_LESS(x, y) : IS_LESS(y, x))                                   \
            return 0;                                                                  \
        return a < b;                                                                  \
    }                                                                                  \
    K_IN void topk_sift_##type(const T *row, ix step, ix largest, int32_t *heap,       \
                               ix at, ix size)                                         \
    {                                                                                  \
        const int32_t moved = heap[at];                                                \
        for (;;) {                                                                     \
            ix child = 2 * at + 1;                                                     \
            if (child >= size)                                                         \
                break;                                                                 \
            if (child + 1 < size                                                       \
                && topk_ahead_##type(row, step, largest, heap[child],                  \
                                     heap[child + 1]))                                 \
                child++;                                                               \
            if (!topk_ahead_##type(row, step, largest, moved, heap[child]))            \
                break;                                                                 \
            heap[at] = heap[child];                                                    \
            at = child;                                                                \
        }                                                                              \
        heap[at] = moved;                                                              \
    }                                                                                  \
    KERNEL_FN(topk_##type)                                                             \
    {                                                                                  \
        const struct k_axis *const p = params;                                         \
        const ix n = (ix)p->n, inner = (ix)p->inner, k = (ix)p->count;                 \
        int32_t *const heap = buf[3];                                                  \
                                                                                       \
        for (ix unit = (ix)begin; unit < (ix)end && k > 0; unit++) {                   \
            const ix o = unit / inner, c = unit - o * inner;                           \
            const T *const row = (const T *)buf[0] + o * n * inner + c;                \
            T *const value = (T *)buf[1] + o * k * inner + c;                          \
            int64_t *const index = (int64_t *)buf[2] + o * k * inner + c;              \
            for (ix i = 0; i < k; i++)                                                 \
                heap[i] = (int32_t)i;                                                  \
            for (ix i = k / 2; i-- > 0;)                                               \
                topk_sift_##type(row, inner, (ix)p->flag, heap, i, k);                 \
            for (ix i = k; i < n; i++)                                                 \
                if (topk_ahead_##type(row, inner, (ix)p->flag, (int32_t)i, heap[0])) { \
                    heap[0] = (int32_t)i;                                              \
                    topk_sift_##type(row, inner, (ix)p->flag, heap, 0, k);             \
                }                                                                      \
            for (ix left = k; left-- > 0;) {                                           \
                value[left * inner] = row[heap[0] * inner];                            \
                index[left * inner] = heap[0];                                         \
                heap[0] = heap[left];                                                  \
                topk_sift_##type(row, inner, (ix)p->flag, heap, 0, left);              \
            }                                                                          \
        }                                                                              \
    }

/* ---- Unique ----------------------------------------------------------------- */

/* Stable merge sort of order[0..n), bottom up; BEFORE(a, b): index a must not come
 * after b, false when they are equal. */
#define MERGE_SORT(order, spare, n, BEFORE)                                            \
    for (ix width = 1; width < (n); width *= 2) {                                      \
        for (ix lo = 0; lo < (n); lo += 2 * width) {                                   \
            const ix mid = ix_min(lo + width, n), hi = ix_min(lo + 2 * width, n);      \
            ix a = lo, b = mid;                                                        \
            for (ix i = lo; i < hi; i++)                                               \
                (spare)[i] = a < mid && (b >= hi || !BEFORE((order)[b], (order)[a]))   \
                                 ? (order)[a++]                                        \
                                 : (order)[b++];                                       \
        }                                                                              \
        for (ix i = 0; i < (n); i++)                                                   \
            (order)[i] = (spare)[i];                                                   \
    }

/* unique_<type>(in, y, [index,] [inverse,] [count,] dims of y, [dims of index,] [dims
 * of count,] temp int32[n] three times).  Serial. */
#define UNIQUE(type, T)                                                                \
    K_IN int unique_compare_##type(const struct k_unique *p, const T *in, ix a, ix b)  \
    {                                                                                  \
        for (ix o = 0; o < (ix)p->outer; o++)                                          \
            for (ix c = 0; c < (ix)p->inner; c++) {                                    \
                const T x = in[(o * (ix)p->n + a) * (ix)p->inner + c];                 \
                const T y = in[(o * (ix)p->n + b) * (ix)p->inner + c];                 \
                if (IS_LESS(x, y))                                                     \
                    return -1;                                                         \
                if (IS_LESS(y, x))                                                     \
                    return 1;                                                          \
            }                                                                          \
        return 0;                                                                      \
    }                                                                                  \
    KERNEL_FN(unique_##type)                                                           \
    {                                                                                  \
        const struct k_unique *const p = params;                                       \
        const T *const in = buf[0];                                                    \
        T *const y = buf[1];                                                           \
        int at = 2;                                                                    \
        int64_t *const index = p->has_index ? buf[at++] : 0;                           \
        int64_t *const inverse = p->has_inverse ? buf[at++] : 0;                       \
        int64_t *const count = p->has_count ? buf[at++] : 0;                           \
        int64_t *const y_dims = buf[at++];                                             \
        int64_t *const index_dims = p->has_index ? buf[at++] : 0;                      \
        int64_t *const count_dims = p->has_count ? buf[at++] : 0;                      \
        int32_t *const order = buf[at], *const spare = buf[at + 1];                    \
        int32_t *const group = buf[at + 2];                                            \
        const ix n = (ix)p->n, inner = (ix)p->inner;                                   \
        ix found = 0, next = 0;                                                        \
                                                                                       \
        (void)begin;                                                                   \
        (void)end;                                                                     \
        for (ix i = 0; i < n; i++)                                                     \
            order[i] = (int32_t)i;                                                     \
        MERGE_SORT(order, spare, n, UNIQUE_BEFORE_##type)                              \
        for (ix i = 0; i < n; i++) {                                                   \
            if (i && unique_compare_##type(p, in, order[i - 1], order[i]) != 0)        \
                found++;                                                               \
            group[order[i]] = (int32_t)found;                                          \
        }                                                                              \
        found = n ? found + 1 : 0;                                                     \
        for (ix g = 0; g < found; g++)                                                 \
            spare[g] = -1; /* where group g goes */                                    \
        for (ix i = 0; i < n; i++) {                                                   \
            const ix g = group[i];                                                     \
            const int is_new = spare[g] < 0;                                           \
            if (is_new)                                                                \
                spare[g] = (int32_t)(p->sorted ? g : next++);                          \
            const ix to = spare[g];                                                    \
            if (is_new && index)                                                       \
                index[to] = i;                                                         \
            if (is_new && count)                                                       \
                count[to] = 0;                                                         \
            if (count)                                                                 \
                count[to]++;                                                           \
            if (inverse)                                                               \
                inverse[i] = to;                                                       \
            for (ix o = 0; o < (ix)p->outer && is_new; o++)                            \
                for (ix c = 0; c < inner; c++)                                         \
                    y[(o * found + to) * inner + c] = in[(o * n + i) * inner + c];     \
        }                                                                              \
        y_dims[p->axis] = found;                                                       \
        if (index_dims)                                                                \
            index_dims[0] = found;                                                     \
        if (count_dims)                                                                \
            count_dims[0] = found;                                                     \
    }

#define UNIQUE_BEFORE_f32(a, b) (unique_compare_f32(p, in, a, b) < 0)
#define UNIQUE_BEFORE_f64(a, b) (unique_compare_f64(p, in, a, b) < 0)
#define UNIQUE_BEFORE_i8(a, b)  (unique_compare_i8(p, in, a, b) < 0)
#define UNIQUE_BEFORE_u8(a, b)  (unique_compare_u8(p, in, a, b) < 0)
#define UNIQUE_BEFORE_i32(a, b) (unique_compare_i32(p, in, a, b) < 0)
#define UNIQUE_BEFORE_i64(a, b) (unique_compare_i64(p, in, a, b) < 0)
#define UNIQUE_BEFORE_i16(a, b) (unique_compare_i16(p, in, a, b) < 0)
#define UNIQUE_BEFORE_u16(a, b) (unique_compare_u16(p, in, a, b) < 0)
#define UNIQUE_BEFORE_u32(a, b) (unique_compare_u32(p, in, a, b) < 0)
#define UNIQUE_BEFORE_u64(a, b) (unique_compare_u64(p, in, a, b) < 0)

#define SEARCH(type, T) TOPK(type, T) UNIQUE(type, T)
SEARCH(f32, float)
SEARCH(f64, double)
SEARCH(i8, int8_t)
SEARCH(u8, uint8_t)
SEARCH(i32, int32_t)
SEARCH(i64, int64_t)
SEARCH(i16, int16_t)
SEARCH(u16, uint16_t)
SEARCH(u32, uint32_t)
SEARCH(u64, uint64_t)

/* ---- NonMaxSuppression ------------------------------------------------------ */

/* A box as y0, x0, y1, x1 with y0 <= y1, x0 <= x1. */
K_IN void box_corners(const struct k_nms *p, const float *box, float out[4])
{
    for (int d = 0; d < 2; d++) {
        float a, b;
        if (p->centered) { /* x, y, width, height */
            a = box[1 - d] - box[3 - d] / 2.0f;
            b = box[1 - d] + box[3 - d] / 2.0f;
        } else {
            a = box[d];
            b = box[d + 2];
        }
        out[d] = a < b ? a : b;
        out[d + 2] = a < b ? b : a;
    }
}

/* Intersection over union is greater than the limit. */
K_IN int box_overlaps(const struct k_nms *p, const float *boxes, ix a, ix b,
                      float limit)
{
    float s[4], t[4];
    box_corners(p, boxes + 4 * a, s);
    box_corners(p, boxes + 4 * b, t);
    const float h = (s[2] < t[2] ? s[2] : t[2]) - (s[0] > t[0] ? s[0] : t[0]);
    const float w = (s[3] < t[3] ? s[3] : t[3]) - (s[1] > t[1] ? s[1] : t[1]);
    if (!(h > 0) || !(w > 0))
        return 0;
    const float both = h * w;
    const float area =
        (s[2] - s[0]) * (s[3] - s[1]) + (t[2] - t[0]) * (t[3] - t[1]) - both;
    return area > 0 && both / area > limit;
}

#define SCORE_BEFORE(a, b) (score[a] > score[b])

/* nms(boxes, scores, [max int64,] [iou,] [score,] out int64[cap, 3], dims of out, temp
 * int32[boxes] twice).  Serial. */
KERNEL_FN(nms)
{
    const struct k_nms *const p = params;
    const float *const all_boxes = buf[0], *const all_scores = buf[1];
    int at = 2;
    const int64_t *const max = p->has_max ? buf[at++] : 0;
    const float *const iou = p->has_iou ? buf[at++] : 0;
    const float *const least = p->has_score ? buf[at++] : 0;
    int64_t *out = buf[at++], *const dims = buf[at++];
    int32_t *const order = buf[at], *const spare = buf[at + 1];
    const ix n = (ix)p->boxes;
    const ix limit = !max || *max < 0 ? 0 : *max > n ? n : (ix)*max;
    int64_t found = 0;

    (void)begin;
    (void)end;
    for (ix unit = 0; unit < (ix)(p->batches * p->classes); unit++) {
        const ix batch = unit / (ix)p->classes;
        const float *const boxes = all_boxes + batch * n * 4;
        const float *const score = all_scores + unit * n;
        ix candidates = 0, kept = 0;

        for (ix i = 0; i < n; i++)
            if (!least || score[i] > *least)
                order[candidates++] = (int32_t)i;
        MERGE_SORT(order, spare, candidates, SCORE_BEFORE)
        for (ix i = 0; i < candidates && kept < limit; i++) {
            int clear = 1;
            for (ix k = 0; k < kept && clear; k++)
                clear = !box_overlaps(p, boxes, order[i], spare[k], iou ? *iou : 0.0f);
            if (!clear)
                continue;
            spare[kept++] = order[i];
            *out++ = batch;
            *out++ = unit - batch * (ix)p->classes;
            *out++ = order[i];
            found++;
        }
    }
    dims[0] = found;
    dims[1] = 3;
}

/* ---- MaxUnpool -------------------------------------------------------------- */

/* unpool_<size>(in, index int64, out): out holds zeros already.  Serial units. */
#define UNPOOL(size, T)                                                                \
    KERNEL_FN(unpool_##size)                                                           \
    {                                                                                  \
        const struct k_unpool *const p = params;                                       \
        const T *const in = buf[0];                                                    \
        const int64_t *const index = buf[1];                                           \
        T *const out = buf[2];                                                         \
                                                                                       \
        for (ix i = (ix)begin; i < (ix)end; i++) {                                     \
            int64_t rest = index[i] < 0 ? 0 : index[i];                                \
            ix to = 0;                                                                 \
            int inside = 1;                                                            \
            for (int d = K_MAX_RANK - 1; d >= 0; d--) {                                \
                const int64_t q = rest / p->dim[d], r = rest - q * p->dim[d];          \
                inside &= r < p->to[d];                                                \
                to += (ix)r * (ix)p->out[d];                                           \
                rest = q;                                                              \
            }                                                                          \
            if (inside && !rest)                                                       \
                out[to] = in[i];                                                       \
        }                                                                              \
    }

FOR_EACH_SIZE(UNPOOL)
