#pragma once
// What the parts of the core share. The tables are those that tables.ts and its neighbours build, copied into
// this memory as they are: see there for what each holds. All integers are little-endian, as WebAssembly's
// are.

typedef unsigned char u8;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;

#define NONE 0x7fffffff
#define EMPTY -1

// piece-table.ts
#define KINDS 0
#define BYTE_IDS 256
#define ALONE 512
#define TINY 4
#define SHORT 12
#define LONG 48

enum { GPT2, CL100K, O200K };

// In the order in which core.ts writes it, a word each.
typedef struct {
  i32 family, digits, tail_whole;
  i32 tiny_at, tiny_shift, short_at, short_shift, long_mask;
  i32 filter_shift, slot_mask, trie_mask;
  const i32 *words, *longs;
  const u8 *byte_class, *point_class;
  const u32 *ids;
  const u8 *token_bytes;
  const i32 *byte_rank, *byte_pair, *splits, *slots;
  const u32 *filter;
  const i32 *length, *prefix, *trie, *node_token;
  i32 *short_memory, *long_memory;
  // The text, followed by bytes 0xFF; as many ids, and one byte more, for the places that merge_long gave up.
  const u8 *text;
  i32 *out;
  u8 *dead;
} State;

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
