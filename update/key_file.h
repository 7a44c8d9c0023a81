/* SPDX-License-Identifier: Apache-2.0 */
/* Ed25519 keys as files: one line, a word that says what it is and 64 digits.
 *
 *     hadmc-ed25519-secret 9d61b19d...      KEY, readable by its owner only
 *     hadmc-ed25519-public d75a9801...      KEY.pub
 *
 * The secret is the seed of RFC 8032, the public key what ed25519_verify takes.
 */
#ifndef HADMC_UPDATE_KEY_FILE_H
#define HADMC_UPDATE_KEY_FILE_H

#include <stdint.h>

#include "support/status.h"

struct signing_key {
    uint8_t seed[32], public_key[32];
};

/* Writes `path` and `path`.pub, neither of which may exist. */
struct status *key_file_generate(const char *path);

/* INVALID names the file and what it should hold. */
struct status *key_file_read_secret(const char *path, struct signing_key *out);
struct status *key_file_read_public(const char *path, uint8_t out[32]);

/* Fills in the public key of the seed. */
void key_derive_public(struct signing_key *key);
void key_sign(const struct signing_key *key, const void *message, size_t n_bytes,
              uint8_t signature[64]);
void key_forget(struct signing_key *key);

#endif /* HADMC_UPDATE_KEY_FILE_H */
