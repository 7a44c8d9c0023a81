/* SPDX-License-Identifier: Apache-2.0 */
/* The program around a model that is compiled for another processor: a static
 * Linux executable without libc, linked by runner.c and run by an emulator (or
 * natively, when peak memory is measured).
 *
 *     runner REQUEST RESPONSE WEIGHTS
 *
 * REQUEST and RESPONSE are files laid out as in runner_core.h; the response has
 * its final size already.  Exit code 0: look into the response; 1: a system call
 * failed.  The linker gives the model's functions the names below.
 */
#include "codegen/runner_core.h"

/* Dots, because no model can have these names itself. */
run_open_fn model_open __asm__("model.open");
run_workers_fn model_use_workers __asm__("model.use_workers");
run_run_fn model_run __asm__("model.run");
extern const uint8_t model_weights[] __asm__("model.weights")
    __attribute__((weak)); /* NULL: not linked in */

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
void *memmove(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);
_Noreturn void runner_main(const long *stack);

/* ---- the four functions that compilers call -------------------------------- */

void *memcpy(void *to, const void *from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;

    for (; n >= 8; n -= 8, t += 8, f += 8)
        __builtin_memcpy_inline(t, f, 8);
    for (; n; n--)
        *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;

    if (t <= f)
        for (size_t i = 0; i < n; i++)
            t[i] = f[i];
    else
        for (size_t i = n; i > 0; i--)
            t[i - 1] = f[i - 1];
    return to;
}

void *memset(void *to, int c, size_t n)
{
    uint8_t *t = to;

    for (size_t i = 0; i < n; i++)
        t[i] = (uint8_t)c;
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;

    for (size_t i = 0; i < n; i++)
        if (x[i] != y[i])
            return x[i] - y[i];
    return 0;
}

/* ---- the system ------------------------------------------------------------ */

#if defined(__x86_64__)

enum {
    SYS_READ = 0,
    SYS_CLOSE = 3,
    SYS_MMAP = 9,
    SYS_CLOCK = 228,
    SYS_EXIT = 231,
    SYS_OPENAT = 257
};

__asm__(".globl _start\n"
        "_start:\n"
        "xorl %ebp, %ebp\n"
        "movq %rsp, %rdi\n"
        "andq $-16, %rsp\n"
        "call runner_main\n");

static long call(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

#elif defined(__aarch64__)

enum {
    SYS_OPENAT = 56,
    SYS_CLOSE = 57,
    SYS_READ = 63,
    SYS_EXIT = 94,
    SYS_CLOCK = 113,
    SYS_MMAP = 222
};

__asm__(".globl _start\n"
        "_start:\n"
        "mov x29, xzr\n"
        "mov x30, xzr\n"
        "mov x0, sp\n"
        "bl runner_main\n");

static long call(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;

    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}

#else
#error "no system calls for this processor"
#endif

enum {
    AT_CWD = -100,
    READ_ONLY = 0,
    READ_WRITE = 2,
    PROT_R = 1,
    PROT_RW = 3,
    SHARED = 1,
    PRIVATE = 2,
    ANONYMOUS = 32,
    MONOTONIC = 1,
    PROCESS_CPU = 2
};

_Noreturn static void quit(int code)
{
    for (;;)
        call(SYS_EXIT, code, 0, 0, 0, 0, 0);
}

static long checked(long result)
{
    if (result < 0 && result > -4096)
        quit(1);
    return result;
}

static double clock_us(long clock)
{
    int64_t t[2];

    checked(call(SYS_CLOCK, clock, (long)t, 0, 0, 0, 0));
    return (double)t[0] * 1e6 + (double)t[1] * 1e-3;
}

static double wall_us(void)
{
    return clock_us(MONOTONIC);
}

static double cpu_us(void)
{
    return clock_us(PROCESS_CPU);
}

static uint8_t *map_file(const char *path, int64_t len, int mode)
{
    const long fd = checked(call(SYS_OPENAT, AT_CWD, (long)path, mode, 0, 0, 0));
    const int prot = mode == READ_WRITE ? PROT_RW : PROT_R;
    const int kind = mode == READ_WRITE ? SHARED : PRIVATE;
    const long at = checked(call(SYS_MMAP, 0, len, prot, kind, fd, 0));

    call(SYS_CLOSE, fd, 0, 0, 0, 0, 0);
    return (uint8_t *)at;
}

/* The number behind "VmHWM:" in /proc/self/status, in bytes; 0 when not there. */
static int64_t peak_rss(void)
{
    static char text[4096];
    static const char key[] = "VmHWM:";
    const long fd =
        call(SYS_OPENAT, AT_CWD, (long)"/proc/self/status", READ_ONLY, 0, 0, 0);
    const long n =
        fd < 0 ? 0 : call(SYS_READ, fd, (long)text, sizeof text - 1, 0, 0, 0);
    int64_t kb = 0;

    for (long i = 0; i + (long)sizeof key < n; i++) {
        if (memcmp(text + i, key, sizeof key - 1) != 0)
            continue;
        for (i += (long)sizeof key - 1; text[i] == ' ' || text[i] == '\t'; i++)
            ;
        for (; text[i] >= '0' && text[i] <= '9'; i++)
            kb = kb * 10 + (text[i] - '0');
        break;
    }
    return kb * 1024;
}

/* ---- the run --------------------------------------------------------------- */

/* One after the other, but on the workers that a pool would use. */
static void each_in_turn(void *pool, hadm_body *body, void *arg, int64_t n,
                         int64_t grain)
{
    const int64_t n_workers = *(const int64_t *)pool;

    for (int64_t begin = 0, worker = 0; begin < n; worker = (worker + 1) % n_workers) {
        const int64_t end = begin + grain < n ? begin + grain : n;

        body(arg, begin, end, worker);
        begin = end;
    }
}

static void run(uint8_t *request, uint8_t *response, const void *weights)
{
    const struct run_request *q = (const struct run_request *)request;
    struct run_response *r = (struct run_response *)response;
    struct run_api api = {
        .open = model_open,
        .use_workers = model_use_workers,
        .run = model_run,
        .parallel_for = each_in_turn,
        .pool = (void *)(uintptr_t)&q->n_workers,
        .wall_us = wall_us,
        .cpu_us = cpu_us,
    };
    struct hadm_context model;
    uint8_t *workspace = response + q->workspace_begin;
    void **io = (void **)(response + q->pointers_begin);

    if (!q->keep_workspace)
        workspace = (uint8_t *)checked(call(SYS_MMAP, 0, q->workspace_bytes + 64,
                                            PROT_RW, PRIVATE | ANONYMOUS, -1, 0));
    if (!run_core_open(&api, q, weights, workspace, &model, r)
        || r->n_steps != q->n_steps)
        return;
    for (int64_t set = 0; set < q->n_sets; set++) {
        for (int64_t i = 0; i < q->n_in + q->n_out + q->n_dims; i++)
            io[i] = i < q->n_in
                        ? request + q->in_begin + set * q->in_stride + q->io_at[i]
                        : response + q->out_begin + set * q->out_stride + q->io_at[i];
        run_core_set(&api, q, &model, io, set, response);
    }
}

/* `stack` is what the kernel leaves there: argc, argv[0], ... */
void runner_main(const long *stack)
{
    const char *const *argv = (const char *const *)(stack + 1);

    if (stack[0] != 4)
        quit(1);

    struct run_request *head =
        (struct run_request *)map_file(argv[1], sizeof(struct run_request), READ_ONLY);

    if (head->magic != RUN_MAGIC)
        quit(1);

    uint8_t *request = map_file(argv[1], head->request_bytes, READ_ONLY);
    uint8_t *response = map_file(argv[2], head->response_bytes, READ_WRITE);
    const uint8_t *weights = model_weights;
    struct run_response *r = (struct run_response *)response;

    if (!weights)
        weights = map_file(argv[3], head->weights_bytes, READ_ONLY);
    run(request, response, weights);
    r->peak_rss_bytes = peak_rss();
    r->done = 1;
    quit(0);
}
