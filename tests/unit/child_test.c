/* SPDX-License-Identifier: Apache-2.0 */
/* links: codegen */
/* Whatever happens in a child is a status in the parent. */
#include "codegen/child.h"
#include "tests/test.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static struct status *say_hello(void *arg, FILE *out)
{
    fprintf(out, "hello %s", (const char *)arg);
    return OK;
}

static struct status *refuse(void *arg, FILE *out)
{
    (void)arg, (void)out;
    return status_note(status_note(FAIL(UNSUPPORTED, "no %d", 7), "while one"),
                       "while two");
}

static struct status *die(void *arg, FILE *out)
{
    (void)out;
    fprintf(stderr, "LLVM ERROR: cannot select\n");
    signal(*(int *)arg, SIG_DFL);
    raise(*(int *)arg);
    return OK;
}

static struct status *sleep_long(void *arg, FILE *out)
{
    (void)arg, (void)out;
    sleep(30);
    return OK;
}

static struct status *run(child_fn *fn, void *arg, const struct child_options *o,
                          struct bytes *out)
{
    static struct arena *a;

    if (!a)
        a = arena_create();
    return child_run(a, "testing", fn, arg, o, out);
}

TEST(what_a_child_writes_comes_back)
{
    struct bytes b = {.len = 0};

    CHECK_OK(run(say_hello, (void *)(uintptr_t) "you", NULL, &b));
    CHECK_EQ(b.len, 9);
    CHECK_BYTES(b.at, "hello you", 9);
}

TEST(a_status_of_a_child_keeps_code_message_and_notes)
{
    struct status *s = run(refuse, NULL, NULL, NULL);

    CHECK(s != OK);
    CHECK_EQ(status_code(s), UNSUPPORTED);
    CHECK_TEXT(status_message(s), "no 7");
    CHECK_EQ(status_n_notes(s), 2);
    CHECK_TEXT(status_note_at(s, 1), "while two");
    status_free(s);
}

TEST(a_crash_is_a_bug_and_quotes_stderr)
{
    int sig = SIGSEGV;

    CHECK_FAILS(run(die, &sig, NULL, NULL), INTERNAL,
                "testing crashed (Segmentation fault): LLVM ERROR: cannot select");
}

TEST(a_kill_is_not_a_bug)
{
    int sig = SIGKILL;

    CHECK_FAILS(run(die, &sig, NULL, NULL), NO_FIT,
                "testing was killed (SIGKILL; out of memory?)");
}

TEST(a_limit_that_is_met_is_not_a_bug)
{
    int file = SIGXFSZ, time = SIGXCPU;

    CHECK_FAILS(run(die, &file, NULL, NULL), NO_FIT,
                "testing was killed (SIGXFSZ: a file is larger than the limit)");
    CHECK_FAILS(run(die, &time, NULL, NULL), NO_FIT,
                "testing was killed (SIGXCPU: more CPU time than the limit)");
}

TEST(a_child_that_hangs_is_ended)
{
    const struct child_options o = {.timeout_s = 1};

    CHECK_FAILS(run(sleep_long, NULL, &o, NULL), NO_FIT,
                "testing took longer than 1 s");
}

TEST(a_program_gives_its_stdout)
{
    struct arena *a = arena_create();
    struct bytes b;
    char *argv[] = {(char[]){"echo"}, (char[]){"hi"}, NULL};

    CHECK_OK(child_exec(a, "asking", argv, NULL, &b));
    CHECK_BYTES(b.at, "hi\n", 3);
    arena_destroy(a);
}

TEST(a_missing_program_is_named)
{
    struct arena *a = arena_create();
    char *argv[] = {(char[]){"no-such-program-here"}, NULL};

    CHECK_FAILS(
        child_exec(a, "linking", argv, &(struct child_options){.foreign = true}, NULL),
        IO_ERROR, "cannot run 'no-such-program-here': No such file");
    arena_destroy(a);
}
