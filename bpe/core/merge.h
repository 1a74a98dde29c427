#pragma once
// Pieces that are no token: merge-tables.ts says what the tables hold, and why the result is exact.
#include "state.h"

#define QUADRATIC 24
#define RANK 0xfffffu

// The rank that two tokens merge to, or NONE. Most pairs merge to nothing, which the small filter can mostly
// tell.
static inline i32 find_pair(const State *state, u32 l, u32 r) {
  u32 h = ((l * 0x9e3779b1u) ^ (r * 0x85ebca6bu)) * 0xc2b2ae35u;
  u32 bit = h >> state->filter_shift;
  if (!(state->filter[bit >> 5] >> (bit & 31) & 1)) return NONE;
  u32 slot = (h ^ (h >> 15)) & state->slot_mask;
  for (;;) {
    i32 v = state->slots[slot];
    if (v == -1) return NONE;
    if ((((u32)v ^ h) & ~RANK) == 0) {
      u32 rank = v & 0xfffff;
      if (state->splits[2 * rank] == (i32)l && state->splits[2 * rank + 1] == (i32)r) return rank;
    }
    slot = (slot + 1) & state->slot_mask;
  }
}

static inline u32 key(i32 rank, i32 place) { return rank == NONE ? NONE : (u32)(rank << 5) | place; }

// Merges lowest rank first, leftmost first among equals; for at most QUADRATIC bytes. A part is known by the
// place of its first byte; key = rank of the pair that begins there << 5 | place, so that the least key is
// the merge to make. Returns how many ranks were written to `parts`.
static i32 merge_short(const State *state, i32 at, i32 length, i32 *parts) {
  u32 keys[QUADRATIC + 2];
  const u8 *bytes = state->text + at;
  i32 last = length - 1;
  i32 p[QUADRATIC + 1];
  u32 byte = bytes[0];
  for (i32 i = 0; i < last; i++) {
    u32 next = bytes[i + 1];
    p[i] = state->byte_rank[byte];
    keys[i] = key(state->byte_pair[(byte << 8) | next], i);
    byte = next;
  }
  p[last] = state->byte_rank[byte];
  keys[last] = NONE;
  keys[last + 1] = NONE;
  u32 starts = 0xffffffffu >> (31 - last);
  for (;;) {
    u32 best = NONE, odd = NONE;
    for (i32 i = 0; i < last; i += 2) {
      u32 a = keys[i], b = keys[i + 1];
      best = a < best ? a : best;
      odd = b < odd ? b : odd;
    }
    best = odd < best ? odd : best;
    if (best == NONE) break;
    i32 place = best & 31, rank = best >> 5;
    i32 gone = __builtin_ctz(starts & (0xfffffffeu << place));
    starts &= ~(1u << gone);
    p[place] = rank;
    keys[gone] = NONE;
    u32 after = starts & (0xfffffffeu << place);
    keys[place] = after == 0 ? NONE : key(find_pair(state, rank, p[__builtin_ctz(after)]), place);
    u32 before = starts & ((1u << place) - 1);
    if (before) {
      i32 b = 31 - __builtin_clz(before);
      keys[b] = key(find_pair(state, p[b], rank), b);
    }
  }
  i32 n = 0;
  for (; starts; starts &= starts - 1) parts[n++] = p[__builtin_ctz(starts)];
  return n;
}

// The longest token that text[at, end) begins with.
static i32 longest(const State *state, i32 at, i32 end) {
  u32 node = 1 + state->text[at];
  i32 best = state->node_token[node];
  while (++at < end) {
    i32 k = (node << 8) | state->text[at];
    u32 m = (u32)k * 0x9e3779b1u;
    u32 slot = (m ^ (m >> 15)) & state->trie_mask;
    while (state->trie[2 * slot] != k && state->trie[2 * slot + 1] != 0) slot = (slot + 1) & state->trie_mask;
    node = state->trie[2 * slot + 1];
    if (!node) break;
    if (state->node_token[node] != NONE) best = state->node_token[node];
  }
  return best;
}

// True when the two tokens stay apart where they meet: undo the later merge on either side step by step; had
// a pair across the border had a lower rank than the merges around it, it would have come first. On equal
// ranks the left pair is merged first, hence the one more.
static i32 may_follow(const State *state, i32 b, i32 a) {
  i32 limit = NONE;
  for (;;) {
    if (find_pair(state, b, a) < limit) return 0;
    if (b > a) {
      limit = b;
      b = state->splits[2 * b + 1];
      if (b == limit) {
        limit = a + 1;
        a = state->splits[2 * a];
        if (a + 1 == limit) return 1;
      }
    } else {
      limit = a + 1;
      a = state->splits[2 * a];
      if (a + 1 == limit) {
        limit = b;
        b = state->splits[2 * b + 1];
        if (b == limit) return 1;
      }
    }
  }
}

// Backtracking BPE, in time linear in the length: at each place take the longest token that the text goes on
// with, if it may stand beside the token before it, else the next shorter one; with none left, give up the
// token before. Exact for vocabularies that buildMergeTables accepts. A place is given up once only, which
// keeps the whole linear.
static i32 merge_long(const State *state, i32 at, i32 end, i32 *parts) {
  u8 *dead = state->dead;
  __builtin_memset(dead, 0, end - at + 1);
  i32 n = 0, place = at, token = longest(state, place, end);
  for (;;) {
    i32 next = place + state->length[token];
    if (!dead[next - at] && (n == 0 || may_follow(state, parts[n - 1], token))) {
      parts[n++] = token;
      place = next;
      if (place == end) return n;
      token = longest(state, place, end);
    } else if (state->prefix[token] != NONE) token = state->prefix[token];
    else {
      dead[place - at] = 1;
      token = parts[--n];
      place -= state->length[token];
    }
  }
}

// Encodes text[at, end), a piece that is no token, into out from `to`. Returns where the ids end.
static i32 merge(const State *state, i32 at, i32 end, i32 to) {
  i32 *parts = state->out + to;
  i32 length = end - at;
  i32 count = length <= QUADRATIC ? merge_short(state, at, length, parts) : merge_long(state, at, end, parts);
  for (i32 i = 0; i < count; i++) parts[i] = state->ids[parts[i]];
  return to + count;
}
