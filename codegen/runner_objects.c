/* SPDX-License-Identifier: Apache-2.0 */
/* The object files of a bundle: read from libfoo.a (Unix ar, System V or BSD long
 * names), or compiled from the C sources of a bundle made with --emit c. */
#include <stdlib.h>
#include <string.h>

#include "codegen/runner.h"
#include "support/scratch_folder.h"

enum { MACHINE_X86_64 = 62, MACHINE_AARCH64 = 183 };

/* ---- ar -------------------------------------------------------------------- */

enum { AR_MAGIC = 8, AR_HEADER = 60, AR_SIZE_AT = 48, AR_SIZE_LEN = 10 };

static bool is_elf(const uint8_t *at, size_t len)
{
    return len >= 64 && memcmp(at, "\177ELF", 4) == 0;
}

/* Members that are not ELF are the symbol table and the table of long names. */
static struct status *read_archive(struct arena *a, const char *path, struct bytes file,
                                   struct runner_objects *out)
{
    const uint8_t *at = file.at;
    int cap = 0;

    if (file.len < AR_MAGIC || memcmp(at, "!<arch>\n", AR_MAGIC) != 0)
        return FAIL(INVALID, "'%s' is not an archive", path);
    for (size_t pos = AR_MAGIC; pos + AR_HEADER <= file.len;) {
        char digits[AR_SIZE_LEN + 1] = {0};

        memcpy(digits, at + pos + AR_SIZE_AT, AR_SIZE_LEN);

        const unsigned long len = strtoul(digits, NULL, 10);

        pos += AR_HEADER;
        if (len > file.len - pos)
            return FAIL(INVALID, "'%s' is cut off", path);
        if (is_elf(at + pos, len)) {
            out->at = arena_grow(a, out->at, sizeof *out->at, out->n, &cap);
            out->at[out->n] = (struct runner_object){
                arena_printf(a, "member%d.o", out->n),
                {.at = arena_copy(a, at + pos, len), .len = len}}; /* aligned */
            out->n++;
        }
        pos += len + (len & 1);
    }
    return OK;
}

static struct status *find_machine(const char *folder, struct runner_objects *o)
{
    enum { E_MACHINE = 18 };

    for (int i = 0; i < o->n; i++) {
        const uint8_t *at = o->at[i].bytes.at;
        const int machine = at[E_MACHINE] | at[E_MACHINE + 1] << 8;

        if (i > 0 && machine != o->machine)
            return FAIL(INVALID, "objects of '%s' are for different processors",
                        folder);
        o->machine = machine;
    }
    return o->n ? OK : FAIL(INVALID, "the library of '%s' holds no objects", folder);
}

/* ---- C --------------------------------------------------------------------- */

/* argv of a compiler for `target`'s processor; NULL when there is none here.  clang
 * comes without the other processor's C library; its own headers are enough for a
 * model when it does not look for that one's. */
static const char *const *find_compiler(const struct target *t)
{
    static const char *const native[][4] = {{"cc"}, {"gcc"}, {"clang"}, {"clang-19"}};
    static const char *const aarch64[][4] = {
        {"aarch64-linux-gnu-gcc"},
        {"clang-19", "--target=aarch64-linux-gnu", "-ffreestanding"},
        {"clang", "--target=aarch64-linux-gnu", "-ffreestanding"}};
    const bool foreign = t && t->run_with[0];
    const char *const(*list)[4] = foreign ? aarch64 : native;
    const size_t n = foreign ? 3 : 4;

    for (size_t i = 0; i < n; i++)
        if (child_find_program((const char *const[]){list[i][0], NULL}))
            return list[i];
    return NULL;
}

static struct status *compile_one(struct runner_job *job, const char *const *compiler,
                                  const char *source, const char *object,
                                  struct runner_objects *out)
{
    static const char *const flags[] = {
        "-std=c11",        "-O2", "-fPIC", "-ffp-contract=off",
        "-fno-math-errno", "-w",  "-c",    NULL};
    struct arena *a = job->arena;
    char *argv[16];
    int n = 0;
    struct bytes said;

    for (; *compiler; compiler++)
        argv[n++] = arena_strdup(a, *compiler);
    for (const char *const *flag = flags; *flag; flag++)
        argv[n++] = arena_strdup(a, *flag);
    argv[n++] = arena_printf(a, "%s/%s", job->folder, source);
    argv[n++] = arena_strdup(a, "-o");
    argv[n++] = arena_strdup(a, object);
    argv[n] = NULL;
    RETURN_IF_FAIL(child_exec(a, "the C compiler", argv,
                              &(struct child_options){.foreign = true}, &said));
    out->at[out->n].name = source;
    RETURN_IF_FAIL(runner_read_file(a, object, &out->at[out->n].bytes));
    out->n++;
    return OK;
}

static struct status *compile_sources(struct runner_job *job,
                                      struct runner_objects *out)
{
    enum { N_SOURCES = 3 };
    static const char *const ends[N_SOURCES] = {"", "_kernels", "_weights"};
    const int n = job->meta->embed ? N_SOURCES : N_SOURCES - 1;
    struct arena *a = job->arena;
    const char *const *compiler = find_compiler(job->options->target);
    char *folder;

    if (!compiler)
        return FAIL(UNSUPPORTED,
                    "this bundle holds C sources and there is no C compiler here");
    RETURN_IF_FAIL(scratch_folder_make(a, &folder));
    out->at = arena_new_array(a, struct runner_object, N_SOURCES);

    const char *object = arena_printf(a, "%s/object.o", folder);
    struct status *s = OK;

    for (int i = 0; !s && i < n; i++)
        s = compile_one(job, compiler,
                        arena_printf(a, "%s%s.c", job->meta->prefix, ends[i]), object,
                        out);
    scratch_folder_remove(folder);
    return status_note(s, "while compiling the C sources of '%s'", job->folder);
}

/* ---------------------------------------------------------------------------- */

bool runner_is_native(int machine)
{
#if defined(__x86_64__)
    return machine == MACHINE_X86_64;
#elif defined(__aarch64__)
    return machine == MACHINE_AARCH64;
#else
    return false;
#endif
}

struct status *runner_load_objects(struct runner_job *job, struct runner_objects *out)
{
    *out = (struct runner_objects){.from = job->folder};
    if (job->meta->kind == EMIT_C) {
        RETURN_IF_FAIL(compile_sources(job, out));
    } else {
        const char *path =
            arena_printf(job->arena, "%s/lib%s.a", job->folder, job->meta->prefix);
        struct bytes file;

        out->from = path;
        RETURN_IF_FAIL(runner_read_file(job->arena, path, &file));
        RETURN_IF_FAIL(read_archive(job->arena, path, file, out));
    }
    return find_machine(job->folder, out);
}
