#pragma once
// Finds where pieces end, byte by byte: all that the fast paths in encode.c leave over.
#include "state.h"

// classes.ts
enum { LETTER, SPACE, OTHER, WHITE, APOSTROPHE, NUMBER, NEWLINE, LEAD };
#define KIND 7
#define UPPERISH 8
#define LOWERISH 16

static inline u32 lead_class(const State *state, i32 at, u32 b) {
  const u8 *p = state->text + at;
  if (b < 0xe0) return state->point_class[((b & 0x1f) << 6) | (p[1] & 0x3f)] | 0x200;
  u32 two = ((p[1] & 0x3f) << 6) | (p[2] & 0x3f);
  if (b < 0xf0) return state->point_class[((b & 0xf) << 12) | two] | 0x300;
  u32 point = ((b & 7) << 18) | (two << 6) | (p[3] & 0x3f);
  return (point < 0x110000 ? state->point_class[point] : 0) | 0x400;
}

// Class of the character at `at` in the low byte and its length in bytes above; LEAD and length 0 at the end.
static inline u32 class_at(const State *state, i32 at) {
  u32 b = state->text[at];
  if (b < 0x80) return state->byte_class[b] | 0x100;
  if (b == 0xff) return LEAD;
  return lead_class(state, at, b);
}

// End of the run of \p{L}, \p{N} (`kind`) that begins at or before `at`.
static i32 end_of_run(const State *state, i32 at, u32 kind) {
  for (;;) {
    u32 f = class_at(state, at);
    if ((f & KIND) != kind) return at;
    at += f >> 8;
  }
}

// End of the run of [^\s\p{L}\p{N}].
static i32 end_of_others(const State *state, i32 at) {
  for (;;) {
    u32 f = class_at(state, at), k = f & KIND;
    if (k != OTHER && k != APOSTROPHE) return at;
    at += f >> 8;
  }
}

static i32 end_of_number(const State *state, i32 at) {
  for (i32 left = state->digits; left > 0; left--) {
    u32 f = class_at(state, at);
    if ((f & KIND) != NUMBER) break;
    at += f >> 8;
  }
  return at;
}

// The whitespace rules of gpt2: all at the end of the text, else all but the last character, else that one.
static i32 end_of_space(const State *state, i32 at) {
  i32 start = at, last = at;
  for (;;) {
    u32 f = class_at(state, at), k = f & KIND;
    if (k != SPACE && k != WHITE && k != NEWLINE) return f == LEAD || last == start ? at : last;
    last = at;
    at += f >> 8;
  }
}

// The whitespace rules of the later patterns: up to and with the last line end if there is one, else as gpt2.
static i32 end_of_space_or_lines(const State *state, i32 at) {
  i32 start = at, last = at, lines = 0;
  for (;;) {
    u32 f = class_at(state, at), k = f & KIND;
    if (k != SPACE && k != WHITE && k != NEWLINE) {
      if (f == LEAD && state->tail_whole) return at;
      if (lines) return lines;
      return f == LEAD || last == start ? at : last;
    }
    last = at;
    at += f >> 8;
    if (k == NEWLINE) lines = at;
  }
}

// End of `'` and what may follow it in a contraction, or `at` when none begins there; U+017F folds to s.
static i32 end_of_contraction(const State *state, i32 at, u32 fold) {
  const u8 *p = state->text + at;
  u32 a = p[1] | fold;
  if (a == 0x73 || a == 0x64 || a == 0x6d || a == 0x74) return at + 2;
  u32 b = p[2] | fold;
  if (a == 0x6c && b == 0x6c) return at + 3;
  if ((a == 0x76 || a == 0x72) && b == 0x65) return at + 3;
  if (fold && p[1] == 0xc5 && p[2] == 0xbf) return at + 3;
  return at;
}

// End of the piece at `at` by the gpt2 pattern. What is no UTF-8 goes on a byte further, here and below.
static inline i32 piece_gpt2(const State *state, i32 at) {
  u32 f = class_at(state, at);
  if (f == LEAD) return at + 1;
  u32 k = f & KIND;
  i32 next = at + (f >> 8);
  if (k == APOSTROPHE) {
    i32 e = end_of_contraction(state, at, 0);
    if (e != at) return e;
  } else if (k == SPACE) {
    f = class_at(state, next);
    k = f & KIND;
    if (f == LEAD || k == SPACE || k == WHITE || k == NEWLINE) return end_of_space(state, at);
    next += f >> 8;
  }
  if (k == LETTER || k == NUMBER) return end_of_run(state, next, k);
  if (k == OTHER || k == APOSTROPHE) return end_of_others(state, next);
  return end_of_space(state, at);
}

// End of the piece at `at` by the cl100k pattern and its kin.
static inline i32 piece_cl100k(const State *state, i32 at) {
  u32 f = class_at(state, at);
  if (f == LEAD) return at + 1;
  u32 k = f & KIND;
  i32 next = at + (f >> 8);
  if (k == LETTER) return end_of_run(state, next, LETTER);
  if (k == NUMBER) return end_of_number(state, at);
  if (k == NEWLINE) return end_of_space_or_lines(state, at);
  if (k == APOSTROPHE) {
    i32 e = end_of_contraction(state, at, 0x20);
    if (e != at) return e;
  }
  u32 a = class_at(state, next) & KIND;
  if (a == LETTER) return end_of_run(state, next, LETTER);
  if (k == SPACE) {
    if (a != OTHER && a != APOSTROPHE) return end_of_space_or_lines(state, at);
  } else if (k == WHITE) return end_of_space_or_lines(state, at);
  i32 e = end_of_others(state, next);
  while (state->text[e] == 0x0a || state->text[e] == 0x0d) e++;
  return e;
}

// End of a word by o200k's first two alternatives, `at` when there is none: upper* lower+ with a character
// before it (`at` < `start`), else the same without (only a mark can be both), else upper+.
static i32 end_of_cased(const State *state, i32 at, i32 start, i32 mark) {
  i32 end = start, both = 0;
  u32 f = class_at(state, end);
  while (f & UPPERISH) {
    end += f >> 8;
    if (f & LOWERISH) both = end;
    f = class_at(state, end);
  }
  if (f & LOWERISH) {
    do {
      end += f >> 8;
      f = class_at(state, end);
    } while (f & LOWERISH);
    return end;
  }
  if (both) return both;
  if (at < start && mark) return start;
  return end > start ? end : at;
}

// End of the piece at `at` by the o200k pattern.
static inline i32 piece_o200k(const State *state, i32 at) {
  u32 f = class_at(state, at);
  if (f == LEAD) return at + 1;
  u32 k = f & KIND;
  if (k == NUMBER) return end_of_number(state, at);
  if (k == NEWLINE) return end_of_space_or_lines(state, at);
  i32 next = at + (f >> 8);
  i32 w = end_of_cased(state, at, k == LETTER ? at : next, (f & UPPERISH) != 0);
  if (w != at) return state->text[w] == 0x27 ? end_of_contraction(state, w, 0x20) : w;
  if (k == SPACE) {
    u32 a = class_at(state, next) & KIND;
    if (a != OTHER && a != APOSTROPHE) return end_of_space_or_lines(state, at);
  } else if (k == WHITE) return end_of_space_or_lines(state, at);
  i32 e = end_of_others(state, next);
  while (state->text[e] == 0x0a || state->text[e] == 0x0d || state->text[e] == 0x2f) e++;
  return e;
}
