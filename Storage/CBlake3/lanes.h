// SPDX-License-Identifier: Apache-2.0
// Included once for each number of lanes, by cblake3.c, with LANES and NAME.

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define SHUFFLE(a, b, order) __builtin_shufflevector(a, b, JOIN(order, LANES))
#define words NAME(words)

typedef uint32_t words __attribute__((vector_size(4 * LANES), aligned(4)));

static inline __attribute__((always_inline)) words NAME(all)(uint32_t word) { return (words){0} + word; }

/// h: the chaining values, word by word; m: the message likewise.
static inline __attribute__((always_inline)) void NAME(compress)(
    words h[8], const words m[16], words counter_low, words counter_high, uint32_t flags) {
    words v[16];
    for (int i = 0; i < 8; i++) v[i] = h[i];
    for (int i = 0; i < 4; i++) v[8 + i] = NAME(all)(initial[i]);
    v[12] = counter_low, v[13] = counter_high, v[14] = NAME(all)(BLOCK_BYTES), v[15] = NAME(all)(flags);
    SEVEN_ROUNDS(v, m)
    for (int i = 0; i < 8; i++) h[i] = v[i] ^ v[i + 8];
}

/// A square of words, turned: as many rounds of shuffling two packs of cards as LANES has bits.
static inline __attribute__((always_inline)) void NAME(turn)(words rows[LANES]) {
    for (int round = 1; round < LANES; round *= 2) {
        words next[LANES];
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = SHUFFLE(rows[i], rows[i + LANES / 2], ZIP_LOW_);
            next[2 * i + 1] = SHUFFLE(rows[i], rows[i + LANES / 2], ZIP_HIGH_);
        }
        for (int i = 0; i < LANES; i++) rows[i] = next[i];
    }
}

static void NAME(chunks)(const uint8_t *input, uint64_t first_chunk, uint32_t *set) {
    const words counter = NAME(all)((uint32_t)first_chunk) + (words){JOIN(COUNT_, LANES)};
    // Sets begin at multiples of LANES, so the lower half of the counter never overflows within one.
    const words counter_high = NAME(all)((uint32_t)(first_chunk >> 32));
    words h[8];
    for (int i = 0; i < 8; i++) h[i] = NAME(all)(initial[i]);
    for (int block = 0; block < CHUNK_BYTES / BLOCK_BYTES; block++) {
        words m[16];
        for (int part = 0; part < 16; part += LANES) {
            for (int lane = 0; lane < LANES; lane++)
                memcpy(&m[part + lane], input + lane * CHUNK_BYTES + block * BLOCK_BYTES + part * 4, sizeof *m);
            NAME(turn)(m + part);
        }
        const uint32_t flags = block == 0 ? CHUNK_START : block == 15 ? CHUNK_END : 0;
        NAME(compress)(h, m, counter, counter_high, flags);
    }
    memcpy(set, h, sizeof h);
}

static void NAME(parents)(const uint32_t *left, const uint32_t *right, uint32_t *result) {
    words h[8], m[16];
    for (int i = 0; i < 8; i++) {
        words a, b;
        memcpy(&a, left + i * LANES, sizeof a);
        memcpy(&b, right + i * LANES, sizeof b);
        m[i] = SHUFFLE(a, b, EVENS_);
        m[i + 8] = SHUFFLE(a, b, ODDS_);
        h[i] = NAME(all)(initial[i]);
    }
    NAME(compress)(h, m, NAME(all)(0), NAME(all)(0), PARENT);
    memcpy(result, h, sizeof h);
}

#undef words
#undef SHUFFLE
#undef JOIN
#undef JOIN_
#undef LANES
#undef NAME
