/* SPDX-License-Identifier: Apache-2.0 */
/* Program -> object, LLVM text or assembly.
 *
 * Two parts, because they want different optimisers: emitted kernels are written
 * in the order in which they should run and need little but clean-up; library
 * kernels and chains are plain loops that rely on inlining and the vectoriser.  The
 * parts are joined before code is emitted, so that a bundle has one object.
 */
#include <string.h>

#include <llvm-c/Linker.h>

#include "codegen/module.h"

#define LIGHT_PIPELINE                                                                 \
    "function(early-cse,instcombine<no-verify-fixpoint>,simplifycfg),globaldce"
#define FULL_PIPELINE "default<O2>"

static struct status *add_steps(struct part *p, bool emitted,
                                const struct model_names *names)
{
    for (int i = 0; i < p->program->n_steps; i++) {
        const struct step *s = &p->program->steps[i];

        if (step_is_emitted(s) == emitted)
            RETURN_IF_FAIL(part_add_step(
                p, s, arena_printf(p->arena, "%s_%s", names->prefix, s->name)));
    }
    return OK;
}

static struct status *build_parts(struct llvm_session *s, struct part *hot,
                                  struct part *plain, const struct model_names *names)
{
    const struct isa *isa = plain->program->isa;

    RETURN_IF_FAIL(add_steps(plain, false, names));
    RETURN_IF_FAIL(llvm_link_library(s, plain->e.module, isa, "kernels"));
    RETURN_IF_FAIL(llvm_verify(plain->e.module));
    RETURN_IF_FAIL(llvm_optimise(s, plain->e.module, FULL_PIPELINE));

    RETURN_IF_FAIL(add_steps(hot, true, names));
    RETURN_IF_FAIL(llvm_verify(hot->e.module));
    RETURN_IF_FAIL(llvm_optimise(s, hot->e.module, LIGHT_PIPELINE));
    return OK;
}

static struct status *join_parts(struct llvm_session *s, struct part *hot,
                                 struct part *plain)
{
    const LLVMModuleRef from = hot->e.module;

    hot->e.module = NULL;
    if (LLVMLinkModules2(plain->e.module, from)) /* takes `from` */
        return FAIL(INTERNAL, "emitted and library kernels do not link");
    RETURN_IF_FAIL(llvm_check(s, "joining the parts of a module"));
    return llvm_check_imports(plain->e.module);
}

static void open_part(struct part *x, struct arena *a, const struct llvm_session *s,
                      const struct program *p, const char *name)
{
    *x = (struct part){.arena = a, .program = p};
    llvm_emitter(&x->e, s, p->isa, name);
}

static void close_part(struct part *x)
{
    if (x->e.builder)
        LLVMDisposeBuilder(x->e.builder);
    if (x->e.module)
        LLVMDisposeModule(x->e.module);
}

struct status *module_emit_sized(struct arena *a, const struct program *p,
                                 const struct model_names *names, enum emit_kind kind,
                                 struct bytes *out, int64_t *stack_bytes)
{
    struct llvm_session s;
    struct part hot = {0}, plain = {0};
    struct status *failed = llvm_open(&s, p->isa);

    if (!failed) {
        open_part(&plain, a, &s, p, names->prefix);
        open_part(&hot, a, &s, p, "emitted");
        failed = build_parts(&s, &hot, &plain, names);
    }
    if (!failed)
        failed = join_parts(&s, &hot, &plain);
    if (!failed)
        failed = llvm_emit(a, &s, plain.e.module, kind, out);
    *stack_bytes = llvm_stack_bytes(&s);
    close_part(&hot);
    close_part(&plain);
    llvm_close(&s);
    return status_note(failed, "while generating code for '%s'", p->isa->triple);
}

struct status *module_emit(struct arena *a, const struct program *p,
                           const struct model_names *names, enum emit_kind kind,
                           struct bytes *out)
{
    int64_t stack_bytes;

    return module_emit_sized(a, p, names, kind, out, &stack_bytes);
}
