// SPDX-License-Identifier: Apache-2.0
#ifndef CBLAKE3_H
#define CBLAKE3_H

#include <stddef.h>
#include <stdint.h>

// The compression function of BLAKE3 (specification of 2020-01-09, section 2), once for one block and once for several
// side by side, one in each lane of the processor's vectors. The tree over it is BLAKE3.swift. C, since Swift cannot
// compile one function for several kinds of processor and choose among them when it runs.
//
// A *chaining value* is 8 words. A *set* is one for each lane, word by word: word w of lane i is at [w * lanes + i].

/// How many lanes this processor fills at once: 16, 8 or 4.
unsigned cblake3_lanes(void);

/// The chaining values of `lanes` whole chunks of 1,024 bytes that lie behind each other. Neither is the root.
void cblake3_chunks(unsigned lanes, const uint8_t *input, uint64_t first_chunk, uint32_t *set);

/// The chaining values of the parents of neighbours: those of `left`'s children, then those of `right`'s.
/// `result` may be one of them.
void cblake3_parents(unsigned lanes, const uint32_t *left, const uint32_t *right, uint32_t *result);

/// One block of up to 64 bytes, filled up with zeros; `value` becomes the next chaining value.
void cblake3_compress(uint32_t value[8], const uint8_t block[64], uint64_t counter, uint32_t length, uint32_t flags);

#endif
