/* SHA-256 (FIPS 180-4), by which a model file tells that it is whole. */
#ifndef LENET_SHA256_H
#define LENET_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct lenet_sha256 {
    uint32_t state[8];
    uint64_t n;          /* bytes so far */
    uint8_t block[64];   /* those that do not fill a block yet */
} lenet_sha256;

void lenet_sha256_begin(lenet_sha256 *sum);
void lenet_sha256_add(lenet_sha256 *sum, const void *bytes, size_t n);
void lenet_sha256_end(lenet_sha256 *sum, uint8_t digest[32]);

#endif
