/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting cross_cases and running them under an emulator; see cross.h.  Needs
 * CROSS_OBJECT, the path of the compiled cross_program.c. */
#ifndef HADMC_TESTS_CROSS_RUN_H
#define HADMC_TESTS_CROSS_RUN_H

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "codegen/child.h"
#include "codegen/emit_build.h"
#include "tests/cross/cross.h"
#include "tests/int_work.h"

enum { CROSS_MAX_CASES = 250, CROSS_FIELDS = 9 };

struct cross {
    struct emitter emitter;
    int n;
    char name[16];
    LLVMValueRef value[CROSS_MAX_CASES];
    struct int_conv conv[CROSS_MAX_CASES]; /* for messages; empty for other kernels */
};

static inline struct cross cross_open(const struct isa *isa)
{
    struct cross c = {.n = 0};

    jit_check_status(emitter_create(isa, "cross", &c.emitter));
    return c;
}

static inline const char *cross_name(struct cross *c)
{
    snprintf(c->name, sizeof c->name, "core_%d", c->n);
    return c->name;
}

/* With an unreadable end it would be better still; bytes around differ at least. */
static inline LLVMValueRef cross_bytes(struct cross *c, const uint8_t *p, int64_t n)
{
    struct emitter *e = &c->emitter;

    if (!p)
        return LLVMConstNull(e->ptr);
    LLVMValueRef data =
        LLVMConstStringInContext(e->context, (const char *)p, (unsigned)n, true);
    LLVMValueRef g = LLVMAddGlobal(e->module, LLVMTypeOf(data), "");

    LLVMSetInitializer(g, data);
    LLVMSetGlobalConstant(g, true);
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    LLVMSetAlignment(g, 4);
    return g;
}

/* The kernel just emitted; sizes of its operands in bytes. */
static inline void cross_add(struct cross *c, LLVMValueRef core,
                             const struct int_run *r, int64_t n_in, int64_t n_weights,
                             int64_t n_epilogue, int64_t n_residual)
{
    struct emitter *e = &c->emitter;
    LLVMValueRef field[CROSS_FIELDS] = {
        core,
        cross_bytes(c, r->in, n_in),
        cross_bytes(c, r->weights, n_weights),
        cross_bytes(c, r->epilogue, n_epilogue),
        cross_bytes(c, r->residual, n_residual),
        cross_bytes(c, r->want, r->n_out),
        emit_int(e, r->n_out),
        emit_int(e, r->units),
        emit_int(e, random_in(0, r->units)),
    };

    CHECK(c->n < CROSS_MAX_CASES && r->n_out <= CROSS_MAX_OUT);
    c->value[c->n++] = LLVMConstStructInContext(e->context, field, CROSS_FIELDS, false);
}

static inline void cross_table(struct cross *c)
{
    struct emitter *e = &c->emitter;
    LLVMTypeRef type = LLVMTypeOf(c->value[0]);
    LLVMValueRef all =
        LLVMAddGlobal(e->module, LLVMArrayType2(type, (uint64_t)c->n), "cross_cases");
    LLVMValueRef n = LLVMAddGlobal(e->module, e->i64, "cross_n_cases");

    LLVMSetInitializer(all, LLVMConstArray2(type, c->value, (uint64_t)c->n));
    LLVMSetInitializer(n, emit_int(e, c->n));
}

/* Exit code of `argv` run as it is. */
static inline int cross_exec(const char *const argv[])
{
    const pid_t child = fork();
    int status = 0;

    CHECK(child >= 0);
    if (child == 0) {
        execvp(argv[0], (char *const *)argv);
        _exit(255);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Links and runs what was added on the emulator's processor `cpu`: the number of the
 * first wrong case, or -1.  Closes. */
static inline int cross_run(struct cross *c, const char *cpu)
{
    struct emitter *e = &c->emitter;
    char folder[] = "/tmp/hadmc-cross-XXXXXX", object[64], program[64];
    const char *linker =
        child_find_program((const char *const[]){"ld.lld-19", "ld.lld", NULL});
    const char *emulator = child_find_program(
        (const char *const[]){"qemu-aarch64-static", "qemu-aarch64", NULL});
    char *why = NULL;

    CHECK(linker && emulator && mkdtemp(folder));
    snprintf(object, sizeof object, "%s/kernels.o", folder);
    snprintf(program, sizeof program, "%s/program", folder);
    cross_table(c);
    jit_check_status(emitter_light_passes(e));
    CHECK(!LLVMTargetMachineEmitToFile(e->machine, e->module, object, LLVMObjectFile,
                                       &why));
    CHECK_EQ(cross_exec((const char *const[]){linker, "-static", "-o", program,
                                              CROSS_OBJECT, object, NULL}),
             0);
    const int code =
        cross_exec((const char *const[]){emulator, "-cpu", cpu, program, NULL});

    unlink(object);
    unlink(program);
    rmdir(folder);
    emitter_destroy(e);
    return code - 1;
}

#endif /* HADMC_TESTS_CROSS_RUN_H */
