/* SPDX-License-Identifier: Apache-2.0 */
/* Slots in a file, for POSIX systems: a storage for slots.h.  Optional; everything else
 * about updates is freestanding.
 *
 *     struct hadm_slot_file file;
 *     if (hadm_slot_file_open(&file, "/data/keyword.slots", 4096, 0) == 0)
 *         hadm_slots_open(&slots, &file.storage);
 *
 * A slot begins at a multiple of erase_bytes, so that it can be mapped (mmap) when that
 * is a multiple of the page size.  The file is locked while it is open.
 */
#ifndef HADMC_RUNTIME_SLOT_FILE_H
#define HADMC_RUNTIME_SLOT_FILE_H

#include "runtime/slots.h"

struct hadm_slot_file {
    struct hadm_storage storage;
    int fd;
};

/* Opens `path`; with create_bytes > 0 makes it, which must not exist yet, of that size
 * and with its blocks allocated.  0, or an errno: EWOULDBLOCK when somebody else has it
 * open.  The struct must stay where it is until it is closed. */
int hadm_slot_file_open(struct hadm_slot_file *f, const char *path,
                        uint32_t erase_bytes, uint64_t create_bytes);
void hadm_slot_file_close(struct hadm_slot_file *f);

#endif /* HADMC_RUNTIME_SLOT_FILE_H */
