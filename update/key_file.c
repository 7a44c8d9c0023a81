/* SPDX-License-Identifier: Apache-2.0 */
/* Key files: see key_file.h.  libsodium makes keys and signatures. */
#include "update/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

_Static_assert(crypto_sign_SEEDBYTES == 32 && crypto_sign_PUBLICKEYBYTES == 32
                   && crypto_sign_BYTES == 64,
               "Ed25519");

static const char secret_word[] = "hadmc-ed25519-secret ";
static const char public_word[] = "hadmc-ed25519-public ";
enum { WORD_LEN = sizeof secret_word - 1, LINE_LEN = WORD_LEN + 64 + 1 };
_Static_assert(sizeof secret_word == sizeof public_word, "one length of lines");

static struct status *write_line(const char *path, const char *word,
                                 const uint8_t key[32], mode_t mode)
{
    char line[LINE_LEN + 1];
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

    if (fd < 0)
        return FAIL(IO_ERROR, "cannot make the key file '%s': %s", path,
                    strerror(errno));
    memcpy(line, word, WORD_LEN);
    sodium_bin2hex(line + WORD_LEN, 65, key, 32);
    line[LINE_LEN - 1] = '\n';

    bool good = write(fd, line, LINE_LEN) == LINE_LEN;

    sodium_memzero(line, sizeof line);
    good = close(fd) == 0 && good;
    if (good)
        return OK;
    unlink(path);
    return FAIL(IO_ERROR, "cannot write the key file '%s'", path);
}

/* 64 digits between the word and the end of the line, nothing else. */
static bool parse_line(const char *line, const char *word, uint8_t key[32])
{
    size_t n = 0;

    return memcmp(line, word, WORD_LEN) == 0 && line[LINE_LEN - 1] == '\n'
           && sodium_hex2bin(key, 32, line + WORD_LEN, 64, NULL, &n, NULL) == 0
           && n == 32;
}

static struct status *read_line(const char *path, const char *word, const char *what,
                                uint8_t key[32])
{
    char line[LINE_LEN + 1];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return FAIL(IO_ERROR, "cannot read the %s key '%s': %s", what, path,
                    strerror(errno));

    const ssize_t n = read(fd, line, sizeof line);

    close(fd);

    const bool good = n == LINE_LEN && parse_line(line, word, key);

    sodium_memzero(line, sizeof line);
    return good ? OK
                : FAIL(INVALID,
                       "'%s' is not a %s key: it should be one line of '%.*s' and 64"
                       " hexadecimal digits",
                       path, what, WORD_LEN - 1, word);
}

void key_derive_public(struct signing_key *key)
{
    uint8_t expanded[crypto_sign_SECRETKEYBYTES];

    crypto_sign_seed_keypair(key->public_key, expanded, key->seed);
    sodium_memzero(expanded, sizeof expanded);
}

struct status *key_file_generate(const char *path)
{
    char public_path[4096];
    struct signing_key key;

    if (snprintf(public_path, sizeof public_path, "%s.pub", path)
        >= (int)sizeof public_path)
        return FAIL(BAD_USAGE, "the name of the key is too long");
    if (sodium_init() < 0)
        return FAIL(IO_ERROR, "the system has no random numbers for a key");
    randombytes_buf(key.seed, sizeof key.seed);
    key_derive_public(&key);

    struct status *s = write_line(path, secret_word, key.seed, 0600);

    if (!s) {
        s = write_line(public_path, public_word, key.public_key, 0644);
        if (s)
            unlink(path);
    }
    key_forget(&key);
    return s;
}

struct status *key_file_read_secret(const char *path, struct signing_key *out)
{
    RETURN_IF_FAIL(read_line(path, secret_word, "secret", out->seed));
    key_derive_public(out);
    return OK;
}

struct status *key_file_read_public(const char *path, uint8_t out[32])
{
    return read_line(path, public_word, "public", out);
}

void key_sign(const struct signing_key *key, const void *message, size_t n_bytes,
              uint8_t signature[64])
{
    uint8_t public_key[32], expanded[crypto_sign_SECRETKEYBYTES];

    crypto_sign_seed_keypair(public_key, expanded, key->seed);
    crypto_sign_detached(signature, NULL, message, n_bytes, expanded);
    sodium_memzero(expanded, sizeof expanded);
}

void key_forget(struct signing_key *key)
{
    sodium_memzero(key, sizeof *key);
}
