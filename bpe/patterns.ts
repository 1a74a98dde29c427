/** How the scanner has to split. */
export interface Split {
  readonly family: 'gpt2' | 'cl100k' | 'o200k'
  /** The most \p{N} in one piece; without meaning for gpt2, whose number runs have no limit. */
  readonly digits: number
  /** Newer texts have `\s++$` before `\s*[\r\n]`: whitespace that ends the text is one piece, newlines and all. */
  readonly tailWhole: boolean
}

const gpt2: Split = { family: 'gpt2', digits: 0, tailWhole: false }
const cl100k = (digits: number, tailWhole = false): Split => ({ family: 'cl100k', digits, tailWhole })

// Contractions and words as the older texts (npm tiktoken, Hugging Face) and the newer ones (Python tiktoken) say
// them. Possessive marks change no match here: what follows each is disjoint from it.
const OLD = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
const NEW = "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}"
const OLD_REST = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'
const MID_REST = ' ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+'
const NEW_REST = ' ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s'

const UPPER = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]'
const LOWER = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]'
const O200K =
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
  '\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'

/** Exact pattern texts and how to split by them; any other text is left to the tiktoken package. */
const SPLITS = new Map<string, Split>([
  // gpt2, r50k, p50k: npm tiktoken, earlier Python tiktoken, Python tiktoken 0.14
  ["'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", gpt2],
  ["'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", gpt2],
  ["'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s", gpt2],
  // cl100k_base of npm tiktoken, and Llama 3; of earlier Python tiktoken; of Python tiktoken 0.14
  [`${OLD}|\\p{N}{1,3}|${OLD_REST}`, cl100k(3)],
  [`${NEW}+|\\p{N}{1,3}|${MID_REST}`, cl100k(3)],
  [`${NEW}++|\\p{N}{1,3}+|${NEW_REST}`, cl100k(3, true)],
  // Qwen 2 to 3
  [`${OLD}|\\p{N}|${OLD_REST}`, cl100k(1)],
  // nanochat
  [`${NEW}+|\\p{N}{1,2}|${MID_REST}`, cl100k(2)],
  [O200K, { family: 'o200k', digits: 3, tailWhole: false }],
])

/** How to split by a pattern, or undefined when only a regular expression engine can. */
export function recognisePattern(pattern: string): Split | undefined {
  return SPLITS.get(pattern)
}
