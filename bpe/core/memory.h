#pragma once
// Pieces that are no token, with the ids they encode to: what was met lately. Of fixed size; a new piece
// takes the place of an old one. What it holds changes the speed only, never the ids.
//
// Short ones, eight words a slot: the three words of the key, number of ids, up to four ids. A piece may be
// in either slot of a pair: a new one gets the second, the first when met again, where pieces that come but
// once leave it alone. Long ones, 32 words a slot: hash, length | number of ids << 8, the bytes, up to 18
// ids.
#include "merge.h"

#define SHORT_SLOTS (1 << 17)
#define SHORT_WORDS 8
#define SHORT_IDS 4
#define LONG_SLOTS (1 << 12)
#define LONG_WORDS 32
#define LONG_IDS 18

static inline u32 short_hash(u32 k0, u32 k1, u32 k2) {
  u32 mixed = k0 * 0x9e3779b1u + k1 * 0x85ebca6bu + k2 * 0xc2b2ae35u;
  return (mixed ^ (mixed >> 15)) * 0x2c1b3c6du;
}

// Encodes a piece of at most 12 bytes that is no token and does not end in a zero byte; k0, k1, k2 is its
// key.
static __attribute__((noinline)) i32 encode_short(const State *state, i32 at, i32 end, u32 k0, u32 k1, u32 k2,
                                                  i32 to) {
  u32 h = short_hash(k0, k1, k2);
  i32 *p = state->short_memory + (h & (SHORT_SLOTS - 2)) * SHORT_WORDS;
  i32 *o = state->out + to;
  if (((p[0] ^ k0) | (p[1] ^ k1) | (p[2] ^ k2)) != 0) {
    i32 *q = p + SHORT_WORDS;
    if (((q[0] ^ k0) | (q[1] ^ k1) | (q[2] ^ k2)) != 0) {
      i32 after = merge(state, at, end, to);
      i32 n = after - to;
      if (n <= SHORT_IDS) {
        i32 *w = p[3] != 0 ? q : p;
        w[0] = k0;
        w[1] = k1;
        w[2] = k2;
        w[3] = n;
        for (i32 i = 0; i < n; i++) w[4 + i] = o[i];
      }
      return after;
    }
    for (i32 i = 0; i < SHORT_WORDS; i++) {
      i32 t = p[i];
      p[i] = q[i];
      q[i] = t;
    }
  }
  i32 n = p[3];
  __builtin_memcpy(o, p + 4, 16);
  return to + n;
}

static inline i32 same(const u8 *a, const u8 *b, i32 n) {
  i32 last = n - 4;
  for (i32 i = 0; i < last; i += 4)
    if (load32(a + i) != load32(b + i)) return 0;
  return load32(a + last) == load32(b + last);
}

// Encodes a piece that the table of short tokens cannot hold; returns no more than `stop` if it is huge.
static __attribute__((noinline)) i32 encode_long(const State *state, i32 at, i32 end, i32 to, i32 stop) {
  i32 size = end - at;
  if (size <= SHORT) return merge(state, at, end, to);
  if (size > LONG) {
    i32 after = merge(state, at, end, to);
    return after < stop ? after : stop;
  }
  const u8 *t = state->text + at;
  u32 h = size;
  i32 last = size - 4;
  for (i32 i = 0; i < last; i += 4) {
    h = (h ^ load32(t + i)) * 0x9e3779b1u;
    h ^= h >> 15;
  }
  h = (h ^ load32(t + last)) * 0x85ebca6bu;
  h ^= h >> 13;
  u32 slot = (h << 2) & state->long_mask;
  for (; state->longs[slot + 2] != 0; slot = (slot + 4) & state->long_mask) {
    if ((u32)state->longs[slot] != h || state->longs[slot + 2] != size) continue;
    if (!same(state->token_bytes + state->longs[slot + 1], t, size)) continue;
    state->out[to] = state->longs[slot + 3];
    return to + 1;
  }
  i32 *m = state->long_memory + (h & (LONG_SLOTS - 1)) * LONG_WORDS;
  i32 *o = state->out + to;
  if ((u32)m[0] == h && (m[1] & 0xff) == size && same((u8 *)(m + 2), t, size)) {
    i32 n = m[1] >> 8;
    for (i32 i = 0; i < n; i++) o[i] = m[LONG_WORDS - LONG_IDS + i];
    return to + n;
  }
  i32 after = merge(state, at, end, to);
  i32 n = after - to;
  if (n <= LONG_IDS) {
    m[0] = h;
    m[1] = size | (n << 8);
    __builtin_memcpy(m + 2, t, size);
    for (i32 i = 0; i < n; i++) m[LONG_WORDS - LONG_IDS + i] = o[i];
  }
  return after;
}
