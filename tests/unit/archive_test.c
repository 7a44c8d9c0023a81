/* SPDX-License-Identifier: Apache-2.0 */
/* links: codegen frontend kernels runtime */
/* Archives and blob objects, judged by binutils. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "codegen/bundle.h"
#include "tests/test.h"

static const struct bytes contents = {"0123456789", 10};

/* Runs `command` with the archive's path as $1; its output, cut at 999 characters. */
static const char *ask(const struct text *archive, const char *command)
{
    static char out[1000];
    char path[] = "/tmp/archive_test_XXXXXX", line[400];
    const int fd = mkstemp(path);

    CHECK_EQ(write(fd, archive->bytes, archive->len), (ssize_t)archive->len);
    close(fd);
    snprintf(line, sizeof line, "set -- %s; %s", path, command);

    FILE *f = popen(line, "r");
    const size_t n = fread(out, 1, sizeof out - 1, f);

    out[n] = '\0';
    pclose(f);
    unlink(path);
    return out;
}

static void make(struct arena *a, struct text *out)
{
    const char *triple = "x86_64-unknown-linux-gnu";
    const struct archive_member members[] = {
        {"short.o", elf_blob(a, triple, "m_weights", contents)},
        {"a_name_that_is_rather_long.o", elf_blob(a, triple, "n_weights", contents)},
        {"odd.txt", {"abc", 3}},
    };

    CHECK_OK(archive_write(members, 3, out));
}

TEST(ar_lists_members_with_short_and_long_names)
{
    struct arena *a = arena_create();
    struct text out = {0};

    make(a, &out);
    CHECK_TEXT(ask(&out, "ar t $1"), "short.o\na_name_that_is_rather_long.o\nodd.txt\n");
    CHECK_TEXT(ask(&out, "ar p $1 odd.txt"), "abc");
    text_free(&out);
    arena_destroy(a);
}

TEST(the_symbol_table_leads_to_the_defining_member)
{
    struct arena *a = arena_create();
    struct text out = {0};

    make(a, &out);
    CHECK_TEXT(ask(&out, "nm -s $1 2>/dev/null | grep ' in '"),
               "m_weights in short.o\nn_weights in a_name_that_is_rather_long.o\n");
    text_free(&out);
    arena_destroy(a);
}

TEST(a_program_links_with_a_blob_and_finds_its_bytes_aligned)
{
    struct arena *a = arena_create();
    struct text out = {0};

    make(a, &out);
    CHECK_TEXT(
        ask(&out,
            "mv $1 $1.a; d=$(mktemp -d); "
            "printf '#include <stdio.h>\\n#include <stdint.h>\\n"
            "extern const char n_weights[10]; int main(void) "
            "{ printf(\"%%.10s %%d\", n_weights, (int)((uintptr_t)n_weights %% 64)); }'"
            " > $d/t.c; cc $d/t.c $1.a -o $d/t && $d/t; rm -rf $d $1.a"),
        "0123456789 0");
    text_free(&out);
    arena_destroy(a);
}

TEST(equal_members_give_equal_archives)
{
    struct arena *a = arena_create();
    struct text one = {0}, two = {0};

    make(a, &one);
    make(a, &two);
    CHECK_EQ(one.len, two.len);
    CHECK_BYTES(one.bytes, two.bytes, one.len);
    text_free(&one);
    text_free(&two);
    arena_destroy(a);
}
