/* Reads zip archives and .npy as lenet_c writes them, and nothing more: no compression, no comments, no
 * parts that are elsewhere, little-endian arrays of three types. Every size is held against what is there
 * before it is used. */
#include "files/archive.h"

#include <stdlib.h>
#include <string.h>

#include "files/sha256.h"

enum { END_SIZE = 22, ENTRY_SIZE = 46, LOCAL_SIZE = 30, LONGEST_NAME = 100 };

static uint32_t two(const uint8_t *at) { return at[0] | (uint32_t)at[1] << 8; }
static uint32_t four(const uint8_t *at) { return two(at) | two(at + 2) << 16; }

static uint32_t crc_of(const uint8_t *bytes, size_t n)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

static int name_is_valid(const char *name, size_t n)
{
    static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    if (n < 1 || n > LONGEST_NAME || name[0] == '.' || name[0] == '-') return 0;
    for (size_t i = 0; i < n; i++)
        if (!memchr(first, name[i], sizeof first - 1)) return 0;
    return 1;
}

/* ---- one .npy ------------------------------------------------------------------------------------- */

static int takes(const char **at, const char *end, const char *text)
{
    const size_t n = strlen(text);
    if ((size_t)(end - *at) < n || memcmp(*at, text, n) != 0) return 0;
    *at += n;
    return 1;
}

/* "", "5," or "3, 4": as numpy writes a shape, up to what closes it. */
static int takes_shape(const char **at, const char *end, size_t most, archive_member *m)
{
    m->n = 1;
    for (m->n_dimensions = 0; *at < end && **at != ')'; m->n_dimensions++) {
        if (m->n_dimensions == ARCHIVE_DIMENSIONS) return 0;
        const char *from = *at;
        size_t value = 0;
        while (*at < end && **at >= '0' && **at <= '9' && value <= most)
            value = value * 10 + (size_t)(*(*at)++ - '0');
        if (*at == from || value > most || (*from == '0' && *at - from > 1)) return 0;
        m->shape[m->n_dimensions] = value;
        if (value && m->n > most / value) return 0;
        m->n *= value;
        if (takes(at, end, ", ")) {
            if (*at == end || **at == ')') return 0;
        } else if (*at < end && **at == ',') {
            if (m->n_dimensions) return 0;
            ++*at;
            if (*at == end || **at != ')') return 0;
        } else if (m->n_dimensions == 0) {
            return 0;
        }
    }
    return takes(at, end, "), }");
}

static int open_array(const uint8_t *bytes, size_t size, archive_member *m)
{
    static const struct {
        const char *name;
        char kind;
        size_t size;
    } types[] = {{"<f4", 'f', 4}, {"<i8", 'i', 8}, {"|u1", 'u', 1}};
    if (size < 10 || memcmp(bytes, "\x93NUMPY\x01\x00", 8) != 0) return 0;
    const size_t header = two(bytes + 8);
    if (size - 10 < header) return 0;
    const char *at = (const char *)bytes + 10, *end = at + header;
    if (!takes(&at, end, "{'descr': '")) return 0;
    m->size = 0;
    for (int i = 0; i < 3 && !m->size; i++)
        if (takes(&at, end, types[i].name)) {
            m->kind = types[i].kind;
            m->size = types[i].size;
        }
    if (!m->size || !takes(&at, end, "', 'fortran_order': False, 'shape': (")
        || !takes_shape(&at, end, size, m))
        return 0;
    while (at < end && *at == ' ') at++;
    if (end - at != 1 || *at != '\n') return 0;
    m->values = bytes + 10 + header;
    return m->n <= size && m->n * m->size == size - 10 - header;
}

/* ---- the archive ---------------------------------------------------------------------------------- */

/* An entry of the directory, and what it says of the member: gives the entry's size; 0: damaged. */
static size_t open_entry(const uint8_t *bytes, size_t start, const uint8_t *entry, size_t left,
                         archive_member *m)
{
    if (left < ENTRY_SIZE || memcmp(entry, "PK\x01\x02", 4) != 0) return 0;
    const size_t name = two(entry + 28), size = four(entry + 24), at = four(entry + 42);
    const size_t whole = ENTRY_SIZE + name + two(entry + 30) + two(entry + 32);
    /* flags: 0x800, the name in UTF-8, changes nothing in ASCII */
    if (whole > left || (two(entry + 8) & ~0x800u) || two(entry + 10) || four(entry + 20) != size
        || two(entry + 34))
        return 0;
    m->name = (const char *)entry + ENTRY_SIZE;
    if (name < 4 || memcmp(m->name + name - 4, ".npy", 4) != 0) return 0;
    m->name_size = name - 4;
    if (!name_is_valid(m->name, m->name_size)) return 0;
    if (at > start || start - at < LOCAL_SIZE || memcmp(bytes + at, "PK\x03\x04", 4) != 0) return 0;
    const uint8_t *local = bytes + at;
    const size_t head = LOCAL_SIZE + (size_t)two(local + 26) + two(local + 28);
    if (start - at < head || start - at - head < size || two(local + 26) != name || two(local + 8)
        || memcmp(local + LOCAL_SIZE, m->name, name) != 0)
        return 0;
    if (crc_of(local + head, size) != four(entry + 16)) return 0;
    return open_array(local + head, size, m) ? whole : 0;
}

lenet_status lenet_archive_open(const uint8_t *bytes, size_t size, archive_member *members, int *n)
{
    *n = 0;
    if (size < END_SIZE || memcmp(bytes, "PK\x03\x04", 4) != 0) return LENET_BAD_FILE;
    const uint8_t *end = bytes + size - END_SIZE;
    if (memcmp(end, "PK\x05\x06", 4) != 0 || four(end + 4) || two(end + 20)) return LENET_BAD_FILE;
    const size_t count = two(end + 10), length = four(end + 12), start = four(end + 16);
    if (count > ARCHIVE_MEMBERS || two(end + 8) != count || length > ARCHIVE_DIRECTORY
        || start > size - END_SIZE || size - END_SIZE - start != length)
        return LENET_BAD_FILE;
    size_t left = length, total = 0;
    for (size_t i = 0; i < count; i++) {
        archive_member *m = &members[i];
        const size_t taken = open_entry(bytes, start, end - left, left, m);
        if (!taken) return LENET_BAD_FILE;
        left -= taken;
        /* members that lie upon one another would take longer than the file is long */
        total += m->n * m->size;
        if (total > size) return LENET_BAD_FILE;
        for (size_t j = 0; j < i; j++)
            if (members[j].name_size == m->name_size
                && memcmp(members[j].name, m->name, m->name_size) == 0)
                return LENET_BAD_FILE;
        *n = (int)i + 1;
    }
    return left ? LENET_BAD_FILE : LENET_OK;
}

const archive_member *lenet_archive_find(const archive_member *members, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (members[i].name_size == strlen(name) && memcmp(members[i].name, name, strlen(name)) == 0)
            return &members[i];
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    const archive_member *x = a, *y = b;
    const size_t n = x->name_size < y->name_size ? x->name_size : y->name_size;
    const int order = memcmp(x->name, y->name, n);
    return order ? order : (x->name_size > y->name_size) - (x->name_size < y->name_size);
}

static void add_number(lenet_sha256 *sum, size_t value)
{
    char text[24];
    size_t at = sizeof text;
    do text[--at] = (char)('0' + value % 10);
    while (value /= 10);
    lenet_sha256_add(sum, text + at, sizeof text - at);
}

lenet_status lenet_archive_check(archive_member *members, int n)
{
    qsort(members, (size_t)n, sizeof *members, by_name);
    const archive_member *checksum = lenet_archive_find(members, n, "checksum");
    if (!checksum || checksum->n * checksum->size != 32) return LENET_BAD_FILE;
    lenet_sha256 sum;
    lenet_sha256_begin(&sum);
    for (int i = 0; i < n; i++) {
        const archive_member *m = &members[i];
        if (m == checksum) continue;
        lenet_sha256_add(&sum, m->name, m->name_size);
        lenet_sha256_add(&sum, "", 1);
        lenet_sha256_add(&sum, m->kind == 'f' ? "<f4" : m->kind == 'i' ? "<i8" : "|u1", 4);
        for (int d = 0; d < m->n_dimensions; d++) {
            if (d) lenet_sha256_add(&sum, ",", 1);
            add_number(&sum, m->shape[d]);
        }
        lenet_sha256_add(&sum, "", 1);
        lenet_sha256_add(&sum, m->values, m->n * m->size);
    }
    uint8_t digest[32];
    lenet_sha256_end(&sum, digest);
    return memcmp(digest, checksum->values, 32) == 0 ? LENET_OK : LENET_BAD_FILE;
}
