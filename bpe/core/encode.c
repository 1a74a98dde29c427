// The encoder's inner loop. ASCII words, with the character before them, are found eight bytes at a time, and
// their keys with them; single characters by their kind and the next one's; all else goes the slower way.
#include "memory.h"
#include "scan.h"

#define EACH(byte) (0x0101010101010101ull * (byte))

// High bit of each byte that is no ASCII letter.
static inline u64 not_letters(u64 word) {
  u64 low = (word | EACH(0x20)) & EACH(0x7f);
  return (~(low + EACH(0x1f)) | (low + EACH(0x05)) | word) & EACH(0x80);
}

// High bit of each byte that is an ASCII capital.
static inline u64 capitals(u64 word) {
  u64 low = word & EACH(0x7f);
  return (low + EACH(0x3f)) & ~(low + EACH(0x25)) & ~word & EACH(0x80);
}

static inline i32 find_tiny(const State *state, u32 k0) {
  u32 hash = (k0 ^ (k0 >> 15)) * 0x9e3779b1u;
  const i32 *slot = state->words + state->tiny_at + ((hash >> state->tiny_shift) << 1);
  while ((u32)slot[0] != k0) {
    if (slot[1] == EMPTY) return EMPTY;
    slot += 2;
  }
  return slot[1];
}

static inline i32 find_short(const State *state, u32 k0, u32 k1, u32 k2) {
  u32 hash = short_hash(k0, k1, k2);
  const i32 *slot = state->words + state->short_at + ((hash >> state->short_shift) << 2);
  while (((slot[0] ^ k0) | (slot[1] ^ k1) | (slot[2] ^ k2)) != 0) {
    if (slot[3] == EMPTY) return EMPTY;
    slot += 4;
  }
  return slot[3];
}

// The lowest bytes of a word, as many as `size` says beyond a multiple of four, or all four.
static inline u32 cut(u32 word, i32 size) { return word & (0xffffffffu >> ((-size & 3) << 3)); }

// Encodes text[at, end), any piece, into out from `to`. Returns where the ids end.
static inline i32 encode_piece(const State *state, i32 at, i32 end, i32 to, i32 stop) {
  const u8 *text = state->text + at;
  i32 size = end - at;
  if (size > SHORT || text[size - 1] == 0) return encode_long(state, at, end, to, stop);
  u32 k0 = load32(text), k1 = 0, k2 = 0;
  if (size <= 4) k0 = cut(k0, size);
  else {
    k1 = load32(text + 4);
    if (size <= 8) k1 = cut(k1, size);
    else k2 = cut(load32(text + 8), size);
  }
  i32 id = size <= TINY ? find_tiny(state, k0) : find_short(state, k0, k1, k2);
  if (id == EMPTY) return encode_short(state, at, end, k0, k1, k2, to);
  state->out[to] = id;
  return to + 1;
}

static inline __attribute__((always_inline)) i32 run(const State *state, i32 length, i32 stop,
                                                     const i32 family) {
  const i32 *words = state->words;
  i32 *out = state->out;
  const i32 cased = family == O200K;
  const i32 may_lead = family == GPT2 ? SPACE : WHITE;
  i32 at = 0, to = 0;
  while (at < length && to < stop) {
    const u8 *text = state->text + at;
    u64 word = load64(text);
    i32 kind = words[KINDS + text[0]];
    i32 size = 0; // not found yet
    u32 k2 = 0;
    if (kind <= may_lead) {
      u64 bits = not_letters(word) & ~0xffull;
      // a capital may come first, and behind a character that is no letter
      if (cased) bits |= capitals(word) & (kind == LETTER ? ~0xffull : ~0xffffull);
      if (bits != 0) {
        i32 bit = __builtin_ctzll(bits) & 0x38;
        size = bit >> 3;
        word &= (1ull << bit) - 1;
      } else {
        u64 rest = load32(text + 8);
        bits = not_letters(rest);
        if (cased) bits |= capitals(rest);
        i32 bit = __builtin_ctzll(bits) & 0x38; // the upper half is no letters
        if (bit < 32) {
          size = 8 + (bit >> 3);
          k2 = rest & ((1u << bit) - 1);
        }
      }
    }
    u8 next = text[size];
    if (size == 0 || (kind != LETTER && size == 1) ||
        words[KINDS + next] == LEAD || // another letter may follow
        (cased && (next == 0x27 || (text[size - 1] < 0x61 && next >= 0x41 && next <= 0x5a)))) {
      if (words[ALONE + ((kind << 4) | words[KINDS + text[1]])] == 1) {
        out[to++] = words[BYTE_IDS + text[0]];
        at++;
        continue;
      }
      i32 end = family == GPT2     ? piece_gpt2(state, at)
                : family == CL100K ? piece_cl100k(state, at)
                                   : piece_o200k(state, at);
      if (end > length) end = length; // damaged UTF-8 at the end
      to = encode_piece(state, at, end, to, stop);
      at = end;
      continue;
    }
    u32 k0 = (u32)word, k1 = (u32)(word >> 32);
    i32 id = size <= TINY ? find_tiny(state, k0) : find_short(state, k0, k1, k2);
    if (id != EMPTY) out[to++] = id;
    else to = encode_short(state, at, at + size, k0, k1, k2, to);
    at += size;
  }
  return to;
}

static __attribute__((noinline)) i32 run_gpt2(const State *state, i32 length, i32 stop) {
  return run(state, length, stop, GPT2);
}

static __attribute__((noinline)) i32 run_cl100k(const State *state, i32 length, i32 stop) {
  return run(state, length, stop, CL100K);
}

static __attribute__((noinline)) i32 run_o200k(const State *state, i32 length, i32 stop) {
  return run(state, length, stop, O200K);
}

// Encodes the `length` bytes of the state's text. Returns how many ids there are in `out`: not fewer than
// `stop` unless the text ends there.
__attribute__((export_name("encode"))) i32 encode(const State *state, i32 length, i32 stop) {
  if (state->family == GPT2) return run_gpt2(state, length, stop);
  return state->family == CL100K ? run_cl100k(state, length, stop) : run_o200k(state, length, stop);
}
