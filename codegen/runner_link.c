/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a bundle as a program of its own: its objects and the embedded runner
 * program (freestanding/runner_program.c) linked statically, started directly or
 * under the target's emulator. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codegen/embedded.h"
#include "codegen/runner.h"
#include "support/scratch_folder.h"

enum { MACHINE_AARCH64 = 183, MAX_ARGV = 64 };

struct argv {
    int n;
    char *at[MAX_ARGV + 1];
};

static void push(struct runner_job *job, struct argv *v, const char *word)
{
    v->at[v->n++] = arena_strdup(job->arena, word);
    v->at[v->n] = NULL;
}

/* ---- linking --------------------------------------------------------------- */

/* The linkers that know the processor; lld knows all of them. */
static const char *find_linker(int machine)
{
    static const char *const lld[] = {"ld.lld-19", "ld.lld", NULL};
    static const char *const aarch64[] = {"aarch64-linux-gnu-ld", NULL};
    static const char *const native[] = {"ld", NULL};
    const char *found = child_find_program(lld);

    if (!found && runner_is_native(machine))
        found = child_find_program(native);
    if (!found && machine == MACHINE_AARCH64)
        found = child_find_program(aarch64);
    return found;
}

static struct status *link_program(struct runner_job *job,
                                   const struct runner_objects *o, const char *folder)
{
    struct arena *a = job->arena;
    const char *linker = find_linker(o->machine);
    const char *triple = o->machine == MACHINE_AARCH64 ? "aarch64-unknown-linux-gnu"
                                                       : "x86_64-unknown-linux-gnu";
    const struct embedded runner = embedded_object("runner", triple);
    const char *main_object = arena_printf(a, "%s/runner.o", folder);
    struct argv v = {0};

    if (!linker)
        return FAIL(UNSUPPORTED, "a linker is needed to run this bundle here: install "
                                 "ld.lld-19 (Debian package lld-19)");
    if (!runner.at)
        return FAIL(UNSUPPORTED, "this hadmcc cannot run programs for ELF machine %d",
                    o->machine);
    RETURN_IF_FAIL(runner_write_file(main_object, runner.at, runner.len));
    push(job, &v, linker);
    push(job, &v, "-static");
    push(job, &v, "-o");
    push(job, &v, arena_printf(a, "%s/program", folder));
    push(job, &v, "--defsym");
    push(job, &v, arena_printf(a, "model.open=%s_open", job->meta->prefix));
    push(job, &v, "--defsym");
    push(job, &v, arena_printf(a, "model.run=%s_run", job->meta->prefix));
    push(job, &v, "--defsym");
    push(job, &v,
         arena_printf(a, "model.use_workers=%s_use_workers", job->meta->prefix));
    if (job->meta->embed) {
        push(job, &v, "--defsym");
        push(job, &v, arena_printf(a, "model.weights=%s_weights", job->meta->prefix));
    }
    push(job, &v, main_object);
    for (int i = 0; i < o->n; i++) {
        const char *path = arena_printf(a, "%s/%d.o", folder, i);

        if (v.n == MAX_ARGV)
            return FAIL(UNSUPPORTED, "the library has more than %d objects", i);
        RETURN_IF_FAIL(runner_write_file(path, o->at[i].bytes.at, o->at[i].bytes.len));
        push(job, &v, path);
    }
    return status_note(child_exec(a, "the linker", v.at,
                                  &(struct child_options){.foreign = true}, NULL),
                       "while linking a program around '%s'", o->from);
}

/* ---- running --------------------------------------------------------------- */

/* The emulator of the target, under its own name or with the suffix that Debian
 * gives the static build. */
static struct status *push_emulator(struct runner_job *job, struct argv *v)
{
    const struct target *t = job->options->target;
    const char *plain = t ? t->run_with[0] : NULL;

    if (!plain)
        return FAIL(UNSUPPORTED,
                    "'%s' is compiled for another processor and target '%s' "
                    "has no emulator",
                    job->folder, job->meta->target);

    const char *with_suffix = arena_printf(job->arena, "%s-static", plain);
    const char *found =
        child_find_program((const char *const[]){plain, with_suffix, NULL});

    if (!found)
        return FAIL(UNSUPPORTED,
                    "'%s' is compiled for another processor; install %s "
                    "(Debian package qemu-user-static) to run it here",
                    job->folder, plain);
    push(job, v, found);
    for (int i = 1; i < 4 && t->run_with[i]; i++)
        push(job, v, t->run_with[i]);
    return OK;
}

static struct status *run_program(struct runner_job *job,
                                  const struct runner_objects *o, const char *folder)
{
    struct arena *a = job->arena;
    const char *request = arena_printf(a, "%s/request", folder);
    const char *weights =
        arena_printf(a, "%s/%s.weights", job->folder, job->meta->prefix);
    const struct child_options options = {.timeout_s = job->options->timeout_s};
    struct argv v = {0};

    if (!runner_is_native(o->machine))
        RETURN_IF_FAIL(push_emulator(job, &v));
    RETURN_IF_FAIL(link_program(job, o, folder));
    RETURN_IF_FAIL(
        runner_write_file(request, job->request, (size_t)job->request->request_bytes));
    push(job, &v, arena_printf(a, "%s/program", folder));
    push(job, &v, request);
    push(job, &v, arena_printf(a, "/proc/%d/fd/%d", (int)getpid(), job->response_fd));
    push(job, &v, weights);
    return child_exec(a, "the compiled model", v.at, &options, NULL);
}

struct status *runner_run_program(struct runner_job *job,
                                  const struct runner_objects *o)
{
    char *folder;

    RETURN_IF_FAIL(scratch_folder_make(job->arena, &folder));

    struct status *s = run_program(job, o, folder);

    scratch_folder_remove(folder);
    return s;
}
