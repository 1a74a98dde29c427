/** The tokenizer kinds a recipe can name; each reads its file into the one form that the rest knows. */
import { readPickle } from './pickle.ts'
import { readTiktokenFile } from './tiktoken.ts'
import { type StoredVocabulary, type TokenizerFile, withSpecials } from './vocabulary.ts'

interface TokenizerKind {
  read(bytes: Uint8Array, name: string): TokenizerFile
  /** Whether the template's special tokens are appended when the file lacks them. */
  readonly appendsSpecials: boolean
}

const kinds: Readonly<Record<string, TokenizerKind>> = {
  tiktoken: { read: readTiktokenFile, appendsSpecials: true },
  nanochat: { read: readPickle, appendsSpecials: false },
}

/** Reads a tokenizer file of `kind` and makes sure of the special tokens `specials`, the first being BOS. */
export function readTokenizer(
  kind: string,
  bytes: Uint8Array,
  name: string,
  specials: readonly string[],
): StoredVocabulary {
  const tokenizer = kinds[kind]
  if (tokenizer === undefined) throw new TypeError(`no tokenizer kind '${kind}'`)
  return withSpecials(tokenizer.read(bytes, name), specials, tokenizer.appendsSpecials)
}
