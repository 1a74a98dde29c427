// Snappy's raw format (google/snappy, format_description.txt): a length, then literals and copies of bytes written
// before. Text makes an element of some five bytes of what it holds, of no foreseeable kind: the loop for all but the
// last 64 bytes treats literals and copies alike, without a branch between them. Sixteen bytes are copied at a time:
// up to 63 past the end of either area are read and written, which must have that room (snappy.ts).
#include <wasm_simd128.h>

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SLACK 64
#define DAMAGED 0

// What a tag says: in the low half, a mask of the bytes after it that are part of its offset; in the high half its
// length, from bit 16 the high bits of its offset, and bit 31 for literals.
#define LITERAL(t) ((u64)(((t) >> 2) + 1 | 0x80000000u) << 32)
#define COPY1(t) ((u64)((((t) >> 2 & 7) + 4) | ((t) >> 5) << 24) << 32 | 0xff)
#define COPY2(t) ((u64)(((t) >> 2) + 1) << 32 | 0xffff)
#define MEANING(t) (((t) & 3) == 0 ? LITERAL(t) : ((t) & 3) == 1 ? COPY1(t) : COPY2(t))
// From a tag to the next; 0: a long literal or a copy from far back, which take the slower way.
#define STEP(t) (((t) & 3) == 3 || (((t) & 3) == 0 && (t) >= 240) ? 0 : ((t) & 3) == 0 ? ((t) >> 2) + 2 : ((t) & 3) + 1)

#define FOUR(f, t) f(t), f((t) + 1), f((t) + 2), f((t) + 3)
#define SIXTEEN(f, t) FOUR(f, t), FOUR(f, (t) + 4), FOUR(f, (t) + 8), FOUR(f, (t) + 12)
#define QUARTER(f, t) SIXTEEN(f, t), SIXTEEN(f, (t) + 16), SIXTEEN(f, (t) + 32), SIXTEEN(f, (t) + 48)
#define ALL(f) QUARTER(f, 0), QUARTER(f, 64), QUARTER(f, 128), QUARTER(f, 192)
static const u64 meanings[256] __attribute__((aligned(64))) = {ALL(MEANING)};
static const u8 steps[256] __attribute__((aligned(64))) = {ALL(STEP)};

// Row d: 0 to d - 1 over and over.
#define ROW(d) {0 % d, 1 % d, 2 % d, 3 % d, 4 % d, 5 % d, 6 % d, 7 % d, 8 % d, 9 % d, 10 % d, 11 % d, 12 % d, 13 % d, 14 % d, 15 % d}
static const u8 repeated[16][16] __attribute__((aligned(16))) = {
  ROW(1), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6), ROW(7),
  ROW(8), ROW(9), ROW(10), ROW(11), ROW(12), ROW(13), ROW(14), ROW(15),
};

static inline u32 load32(const u8 *at) {
  u32 value;
  __builtin_memcpy(&value, at, 4);
  return value;
}

static inline u64 load64(const u8 *at) {
  u64 value;
  __builtin_memcpy(&value, at, 8);
  return value;
}

static inline void copy16(u8 *to, const u8 *from) { wasm_v128_store(to, wasm_v128_load(from)); }

// The last `offset` bytes, of 1 to 15, over and over: sixteen bytes at a time, on by whole repetitions.
static inline void repeat(u8 *out, u32 offset, u32 length) {
  v128_t bytes = wasm_i8x16_swizzle(wasm_v128_load(out - offset), wasm_v128_load(repeated[offset]));
  u32 step = 16 - 16 % offset;
  for (u32 at = 0; at < length; at += step) wasm_v128_store(out + at, bytes);
}

// Decompresses [in, in_end), the length in front already skipped, to `size` bytes at `out`.
// 1: they are that many, and the data are used up. 0: the data are damaged.
__attribute__((export_name("uncompress"))) int uncompress(const u8 *in, const u8 *in_end, u8 *out, u32 size) {
  u8 *const begin = out;
  u8 *const end = out + size;
  const u8 *const fast_in = in_end - in > SLACK ? in_end - SLACK : in;
  u8 *const fast_out = size > SLACK ? end - SLACK : out;
  for (;;) {
    while (in < fast_in && out < fast_out) {
      u64 word = load64(in);
      u32 tag = (u32)word & 0xff;
      u32 step = steps[tag];
      if (__builtin_expect(step == 0, 0)) break;
      u64 meaning = meanings[tag];
      u32 high = (u32)(meaning >> 32);
      u32 length = high & 0x7f;
      u32 offset = ((u32)(word >> 8) & (u32)meaning) + (high >> 16 & 0x7fff);
      u32 literal = (u32)((int)high >> 31);
      const u8 *from = out - offset + ((u32)(in + 1 - out) & literal);
      if (__builtin_expect(offset > (u32)(out - begin), 0)) return DAMAGED;
      if (__builtin_expect((offset | literal) < 16, 0)) {
        if (offset == 0) return DAMAGED;
        repeat(out, offset, length);
      } else {
        copy16(out, from);
        if (__builtin_expect(length > 16, 0)) {
          copy16(out + 16, from + 16);
          copy16(out + 32, from + 32);
          copy16(out + 48, from + 48);
        }
      }
      in += step;
      out += length;
    }
    if (in == in_end) return out == end;
    u32 tag = *in++;
    u32 length = (tag >> 2) + 1;
    if ((tag & 3) == 0) {
      if (length > 60) {
        u32 bytes = length - 60;
        if (bytes > (u32)(in_end - in)) return DAMAGED;
        length = (load32(in) & 0xffffffffu >> (32 - 8 * bytes)) + 1;
        if (length == 0) return DAMAGED; // 2^32
        in += bytes;
      }
      if (length > (u32)(in_end - in) || length > (u32)(end - out)) return DAMAGED;
      __builtin_memcpy(out, in, length);
      in += length;
    } else {
      u32 bytes = (tag & 3) == 3 ? 4 : tag & 3;
      if (bytes > (u32)(in_end - in)) return DAMAGED;
      u32 offset = load32(in) & 0xffffffffu >> (32 - 8 * bytes);
      if ((tag & 3) == 1) {
        offset |= tag >> 5 << 8;
        length = (tag >> 2 & 7) + 4;
      }
      in += bytes;
      if (offset == 0 || offset > (u32)(out - begin) || length > (u32)(end - out)) return DAMAGED;
      if (offset < 16) repeat(out, offset, length);
      else for (u32 at = 0; at < length; at += 16) copy16(out + at, out + at - offset);
    }
    out += length;
  }
}
