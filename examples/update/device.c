/* SPDX-License-Identifier: Apache-2.0 */
/* Firmware that takes new weights: what a device does with libhadm_update.a.
 *
 *     hadmcc before.onnx --target host --prefix net -o before.host
 *     hadmcc after.onnx  --target host --prefix net -o after.host
 *     hadmcc update make before.host -o first.patch --strategy full
 *     hadmcc update apply first.patch --slots flash.img --create 20000
 *     hadmcc update make before.host after.host -o next.patch --number 2
 *     cc -Ibefore.host -I../.. device.c before.host/libnet.a -lhadm_update -o device
 *     ./device flash.img next.patch
 *
 * Flash is an array here, loaded from the file flash.img and written back, so that the
 * program runs anywhere; the four functions of `storage` are where a device's own
 * driver goes.  With -DUPDATE_KEY=0x..,0x.. (32 bytes of a public key) only signed
 * patches are taken.
 */
#include <stdio.h>
#include <string.h>

#include "net.h"
#include "runtime/ed25519.h"
#include "runtime/update.h"

/* ---- the flash driver ---------------------------------------------------- */

enum { SECTOR = 4096, N_SECTORS = 12 };

static _Alignas(64) uint8_t flash[N_SECTORS * SECTOR];

static int flash_read(void *context, uint64_t at, void *to, size_t n_bytes)
{
    (void)context;
    memcpy(to, flash + at, n_bytes);
    return 0;
}

static int flash_write(void *context, uint64_t at, const void *from, size_t n_bytes)
{
    (void)context;
    memcpy(flash + at, from, n_bytes);
    return 0;
}

static int flash_erase(void *context, uint64_t at, uint64_t n_bytes)
{
    (void)context;
    memset(flash + at, 0xff, (size_t)n_bytes);
    return 0;
}

static int flash_flush(void *context)
{
    (void)context;
    return 0;
}

static const struct hadm_storage storage = {
    .bytes = sizeof flash,
    .erase_bytes = SECTOR,
    .read = flash_read,
    .write = flash_write,
    .erase = flash_erase,
    .flush = flash_flush,
};

/* ---- the model ---------------------------------------------------------------------
 */

static _Alignas(NET_WORKSPACE_ALIGN) uint8_t workspace[NET_WORKSPACE_BYTES];
static struct net net;

/* The active weights, where they lie. */
static int start_model(const struct hadm_slots *slots)
{
    const struct hadm_slot *active = &slots->slot[slots->active];

    return net_open(&net, flash + hadm_slots_offset(slots, slots->active),
                    active->bytes, workspace, sizeof workspace, NET_CHECK_PAYLOAD)
           == NET_OK;
}

static void run_model(const struct hadm_slots *slots)
{
    const float x[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    float y[4];

    net_run(&net, &(struct net_in){.x = x}, &(struct net_out){.y = y});
    printf("update %llu in slot %d: %g %g %g %g\n",
           (unsigned long long)slots->slot[slots->active].number, slots->active,
           (double)y[0], (double)y[1], (double)y[2], (double)y[3]);
}

/* ---- an update ----------------------------------------------------------- */

#ifdef UPDATE_KEY
static const uint8_t key[32] = {UPDATE_KEY};
static const struct hadm_update_options options = {.verify = ed25519_verify,
                                                   .public_key = key};
#else
static const struct hadm_update_options options = {0};
#endif

/* Pieces of any size, as a radio or a wire delivers them.  The model could go on
 * running: what it reads stays until the next start. */
static enum hadm_update_status take_update(struct hadm_slots *slots, FILE *link)
{
    static struct hadm_update update;
    uint8_t piece[100];
    size_t n;

    hadm_update_begin(&update, slots, &options);
    while ((n = fread(piece, 1, sizeof piece, link)) > 0)
        if (hadm_update_add(&update, piece, n) != HADM_UPDATE_OK)
            break;
    return hadm_update_end(&update);
}

/* New weights that the code cannot open are given up again. */
static int restart(struct hadm_slots *slots)
{
    if (hadm_slots_open(slots, &storage) == HADM_UPDATE_OK && start_model(slots))
        return 1;
    return hadm_slots_roll_back(slots) == HADM_UPDATE_OK && start_model(slots);
}

static int image(const char *path, const char *mode)
{
    FILE *f = fopen(path, mode);
    size_t n = 0;

    if (f)
        n = *mode == 'r' ? fread(flash, 1, sizeof flash, f)
                         : fwrite(flash, 1, sizeof flash, f);
    return f && fclose(f) == 0 && n == sizeof flash;
}

int main(int argc, char **argv)
{
    struct hadm_slots slots;
    FILE *link = argc > 2 ? fopen(argv[2], "rb") : NULL;

    if (argc < 2 || (argc > 2 && !link) || !image(argv[1], "rb") || !restart(&slots)) {
        fprintf(stderr, "usage: device FLASH_IMAGE [PATCH]\n");
        return 2;
    }
    run_model(&slots);
    if (!link)
        return 0;

    const enum hadm_update_status status = take_update(&slots, link);

    fclose(link);
    if (status != HADM_UPDATE_OK)
        printf("refused: %s\n", hadm_update_strerror(status));
    if (!restart(&slots) || !image(argv[1], "wb"))
        return 1;
    run_model(&slots);
    return status != HADM_UPDATE_OK;
}
