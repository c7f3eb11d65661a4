/* The arrays of a model file: a zip archive of stored .npy members, with a checksum over them all. */
#ifndef LENET_ARCHIVE_H
#define LENET_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>

#include "lenet.h"

enum {
    ARCHIVE_MEMBERS = 256,
    ARCHIVE_DIRECTORY = 64 << 10,  /* bytes */
    ARCHIVE_DIMENSIONS = 32
};

typedef struct archive_member {
    const char *name;      /* without .npy */
    size_t name_size;
    const uint8_t *values; /* aligned to nothing */
    size_t n;              /* of values */
    size_t size;           /* of one */
    char kind;             /* 'f', 'i' or 'u' */
    int n_dimensions;
    size_t shape[ARCHIVE_DIMENSIONS];
} archive_member;

/* Finds the members, at most ARCHIVE_MEMBERS, in the bytes of a file, which must stay; *n is how many.
 * LENET_BAD_FILE unless each is whole. */
lenet_status lenet_archive_open(const uint8_t *bytes, size_t size, archive_member *members, int *n);

/* LENET_BAD_FILE unless the member `checksum` is there and is of the others. Puts the members in order. */
lenet_status lenet_archive_check(archive_member *members, int n);

/* A member by its name, or NULL. */
const archive_member *lenet_archive_find(const archive_member *members, int n, const char *name);

#endif
