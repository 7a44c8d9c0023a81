/* SPDX-License-Identifier: Apache-2.0 */
/* links: updating */
/* Slots in a file: made once, found again, used by one program at a time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/slot_file.h"
#include "tests/test.h"

enum { SECTOR = 4096, BYTES = 10 * SECTOR };

struct place {
    char folder[32], file[48];
};

static struct place make_place(void)
{
    struct place p = {.folder = "/tmp/slot_file_XXXXXX"};

    assert_non_null(mkdtemp(p.folder));
    snprintf(p.file, sizeof p.file, "%s/slots", p.folder);
    return p;
}

static void remove_place(const struct place *p)
{
    unlink(p->file);
    rmdir(p->folder);
}

TEST(what_was_written_is_there_when_the_file_is_opened_again)
{
    const struct place p = make_place();
    struct hadm_slot_file f;
    const uint8_t pattern[256] = {1, 2, 3};
    uint8_t got[256];

    CHECK_EQ(hadm_slot_file_open(&f, p.file, SECTOR, BYTES), 0);
    CHECK_EQ(f.storage.bytes, BYTES);
    CHECK_EQ(f.storage.erase(f.storage.context, 2 * SECTOR, SECTOR), 0);
    CHECK_EQ(f.storage.write(f.storage.context, 2 * SECTOR, pattern, sizeof pattern),
             0);
    CHECK_EQ(f.storage.flush(f.storage.context), 0);
    hadm_slot_file_close(&f);
    CHECK_EQ(hadm_slot_file_open(&f, p.file, SECTOR, 0), 0);
    CHECK_EQ(f.storage.bytes, BYTES);
    CHECK_EQ(f.storage.read(f.storage.context, 2 * SECTOR, got, sizeof got), 0);
    CHECK_BYTES(got, pattern, sizeof pattern);
    CHECK(f.storage.read(f.storage.context, BYTES - 100, got, sizeof got) != 0);
    hadm_slot_file_close(&f);
    remove_place(&p);
}

TEST(a_file_that_is_in_use_is_refused)
{
    const struct place p = make_place();
    struct hadm_slot_file f, second;

    CHECK_EQ(hadm_slot_file_open(&f, p.file, SECTOR, BYTES), 0);
    CHECK_EQ(hadm_slot_file_open(&second, p.file, SECTOR, 0), EWOULDBLOCK);
    hadm_slot_file_close(&f);
    CHECK_EQ(hadm_slot_file_open(&second, p.file, SECTOR, 0), 0);
    hadm_slot_file_close(&second);
    remove_place(&p);
}

TEST(nothing_is_made_unless_asked_nor_made_twice)
{
    const struct place p = make_place();
    struct hadm_slot_file f;

    CHECK_EQ(hadm_slot_file_open(&f, p.file, SECTOR, 0), ENOENT);
    CHECK_EQ(hadm_slot_file_open(&f, p.file, SECTOR, BYTES), 0);
    hadm_slot_file_close(&f);
    CHECK_EQ(hadm_slot_file_open(&f, p.file, SECTOR, BYTES), EEXIST);
    CHECK_EQ(hadm_slot_file_open(&f, p.folder, SECTOR, 0), EISDIR);
    CHECK_EQ(hadm_slot_file_open(&f, "/dev/null", SECTOR, 0), EINVAL);
    remove_place(&p);
}
