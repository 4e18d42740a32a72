// SPDX-License-Identifier: Apache-2.0
#include "cblake3.h"

#include <string.h>

// Section 2.1, tables 1 to 3.
enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, CHUNK_BYTES = 1024, BLOCK_BYTES = 64 };
static const uint32_t initial[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                                    0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

#define ROTATE(x, bits) (((x) >> (bits)) | ((x) << (32 - (bits))))

// Section 2.2: the quarter round, on words or on vectors of words alike.
#define G(a, b, c, d, x, y)                                                                                             \
    a += b + (x), d = ROTATE(d ^ a, 16), c += d, b = ROTATE(b ^ c, 12);                                                 \
    a += b + (y), d = ROTATE(d ^ a, 8), c += d, b = ROTATE(b ^ c, 7);

#define ROUND(v, m, m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15)                               \
    G(v[0], v[4], v[8], v[12], m[m0], m[m1])                                                                            \
    G(v[1], v[5], v[9], v[13], m[m2], m[m3])                                                                            \
    G(v[2], v[6], v[10], v[14], m[m4], m[m5])                                                                           \
    G(v[3], v[7], v[11], v[15], m[m6], m[m7])                                                                           \
    G(v[0], v[5], v[10], v[15], m[m8], m[m9])                                                                           \
    G(v[1], v[6], v[11], v[12], m[m10], m[m11])                                                                         \
    G(v[2], v[7], v[8], v[13], m[m12], m[m13])                                                                          \
    G(v[3], v[4], v[9], v[14], m[m14], m[m15])

// Each row is the one before, permuted by section 2.2, table 2.
#define SEVEN_ROUNDS(v, m)                                                                                              \
    ROUND(v, m, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)                                                   \
    ROUND(v, m, 2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)                                                   \
    ROUND(v, m, 3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1)                                                   \
    ROUND(v, m, 10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6)                                                   \
    ROUND(v, m, 12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4)                                                   \
    ROUND(v, m, 9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7)                                                   \
    ROUND(v, m, 11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13)

void cblake3_compress(uint32_t value[8], const uint8_t block[64], uint64_t counter, uint32_t length, uint32_t flags) {
    uint32_t m[16], v[16];
    memcpy(m, block, sizeof m);
    memcpy(v, value, 8 * sizeof *v);
    memcpy(v + 8, initial, 4 * sizeof *v);
    v[12] = (uint32_t)counter, v[13] = (uint32_t)(counter >> 32), v[14] = length, v[15] = flags;
    SEVEN_ROUNDS(v, m)
    for (int i = 0; i < 8; i++) value[i] = v[i] ^ v[i + 8];
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they lie");

#define EVENS_4 0, 2, 4, 6
#define ODDS_4 1, 3, 5, 7
#define ZIP_LOW_4 0, 4, 1, 5
#define ZIP_HIGH_4 2, 6, 3, 7
#define COUNT_4 0, 1, 2, 3
#define LANES 4
#define NAME(name) name##_4
#include "lanes.h"

#if defined(__x86_64__)
#define EVENS_8 EVENS_4, 8, 10, 12, 14
#define ODDS_8 ODDS_4, 9, 11, 13, 15
#define ZIP_LOW_8 0, 8, 1, 9, 2, 10, 3, 11
#define ZIP_HIGH_8 4, 12, 5, 13, 6, 14, 7, 15
#define COUNT_8 COUNT_4, 4, 5, 6, 7
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define LANES 8
#define NAME(name) name##_8
#include "lanes.h"
#pragma clang attribute pop

#define EVENS_16 EVENS_8, 16, 18, 20, 22, 24, 26, 28, 30
#define ODDS_16 ODDS_8, 17, 19, 21, 23, 25, 27, 29, 31
#define ZIP_LOW_16 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define ZIP_HIGH_16 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define COUNT_16 COUNT_8, 8, 9, 10, 11, 12, 13, 14, 15
#pragma clang attribute push(__attribute__((target("avx512f"))), apply_to = function)
#define LANES 16
#define NAME(name) name##_16
#include "lanes.h"
#pragma clang attribute pop
#endif

unsigned cblake3_lanes(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return 16;
    if (__builtin_cpu_supports("avx2")) return 8;
#endif
    return 4;
}

void cblake3_chunks(unsigned lanes, const uint8_t *input, uint64_t first_chunk, uint32_t *set) {
#if defined(__x86_64__)
    if (lanes == 16) return chunks_16(input, first_chunk, set);
    if (lanes == 8) return chunks_8(input, first_chunk, set);
#endif
    chunks_4(input, first_chunk, set);
}

void cblake3_parents(unsigned lanes, const uint32_t *left, const uint32_t *right, uint32_t *result) {
#if defined(__x86_64__)
    if (lanes == 16) return parents_16(left, right, result);
    if (lanes == 8) return parents_8(left, right, result);
#endif
    parents_4(left, right, result);
}
