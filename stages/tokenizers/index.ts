/** The tokenizer kinds a recipe can name; each reads its file into the one form that the rest knows. */
import { ShardmillError } from '../../errors/index.ts'
import { readByteFile } from './bytes.ts'
import { readHuggingFace } from './huggingface.ts'
import { HINT, mostFileBytes, tooLarge } from './huggingface-file.ts'
import { readPickle } from './pickle.ts'
import { readTiktokenFile } from './tiktoken.ts'
import { type StoredVocabulary, type TokenizerFile, withSpecials } from './vocabulary.ts'

interface TokenizerKind {
  read(bytes: Uint8Array, name: string, wanted: readonly string[], options: TokenizerOptions): TokenizerFile
  /** Whether the template's special tokens are appended when the file lacks them. */
  readonly appendsSpecials: boolean
}

export interface TokenizerOptions {
  /** Added tokens inside a text become their ids (kind huggingface); otherwise they are ordinary text. */
  readonly addedTokens?: 'recognise'
}

const kinds: Readonly<Record<string, TokenizerKind>> = {
  tiktoken: { read: readTiktokenFile, appendsSpecials: true },
  nanochat: { read: readPickle, appendsSpecials: false },
  bytes: { read: readByteFile, appendsSpecials: false },
  huggingface: {
    read: (bytes, name, wanted, { addedTokens }) =>
      readHuggingFace(bytes, name, { wanted, recognise: addedTokens === 'recognise' }),
    appendsSpecials: true,
  },
}

/** Reads a tokenizer file of `kind` and makes sure of the special tokens `specials`, the first being BOS. */
export function readTokenizer(
  kind: string,
  bytes: Uint8Array,
  name: string,
  specials: readonly string[],
  options: TokenizerOptions = {},
): StoredVocabulary {
  const tokenizer = kinds[kind]
  if (tokenizer === undefined) throw new TypeError(`no tokenizer kind '${kind}'`)
  return withSpecials(tokenizer.read(bytes, name, specials, options), specials, tokenizer.appendsSpecials)
}

/** Refuses a file that cannot be a tokenizer for its size, before it is read whole. */
export function checkTokenizerSize(kind: string, bytes: number, name: string): void {
  if (kind !== 'huggingface' || bytes <= mostFileBytes) return
  throw new ShardmillError('BAD_TOKENIZER', tooLarge(bytes), { at: { file: name }, hint: HINT })
}
