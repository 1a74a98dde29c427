import { APOSTROPHE, LETTER, NEWLINE, NUMBER, OTHER, SPACE, WHITE } from './classes.ts'
import type { Split } from './patterns.ts'

/** The kind of 0xFF, which stands after the text, where LEAD is the kind of all other bytes from 0x80. */
export const END = 8

/**
 * For a byte's kind << 4 | the next byte's kind: 1 when the first is a piece of its own, whatever else follows.
 * Nothing is said of letters, and of what only more of the text can tell.
 */
export function aloneTable({ family, digits }: Split): Uint8Array {
  const alone = new Uint8Array(256)
  const set = (kind: number, ...next: number[]) => {
    for (const after of next) alone[(kind << 4) | after] = 1
  }
  set(NUMBER, LETTER, SPACE, OTHER, WHITE, APOSTROPHE, NEWLINE, END)
  set(NEWLINE, LETTER, OTHER, APOSTROPHE, NUMBER, END)
  set(WHITE, OTHER, APOSTROPHE, NUMBER, END)
  set(OTHER, SPACE, WHITE, NUMBER, END)
  set(APOSTROPHE, SPACE, WHITE, NUMBER, END)
  set(SPACE, END)
  if (family === 'gpt2') {
    set(WHITE, LETTER)
    set(OTHER, LETTER, NEWLINE)
    set(APOSTROPHE, NEWLINE)
  } else {
    set(SPACE, NUMBER)
    if (digits === 1) alone.fill(1, NUMBER << 4, (NUMBER + 1) << 4)
  }
  return alone
}
