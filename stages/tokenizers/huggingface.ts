/**
 * Hugging Face's `tokenizer.json`, for byte-level BPE.
 *
 * There, pieces are merged in the order of a list of merges; here (bpe/) in the order of ids, which is faster. Both
 * give the same ids when every token is what its own bytes merge to, by one pair only, and these pairs stand in the
 * list in the order of the ids: this is tested for each file, and what fails keeps its list (text-encoder.ts). Files
 * converted from tiktoken (Llama 3) with `ignore_merges` merge exactly as tiktoken does, which is tested too.
 */
import { isUtf8 } from 'node:buffer'
import { buildMergeTables } from '../../bpe/merge-tables.ts'
import { recognisePattern } from '../../bpe/patterns.ts'
import { ShardmillError } from '../../errors/index.ts'
import { bytesOfToken } from './byte-level.ts'
import { type AddedToken, HINT, type HuggingFaceFile, readHuggingFaceJson } from './huggingface-file.ts'
import { toNfc } from './nfc.ts'
import { packTokenizer, type RawTokenizer } from './tokenizer-file.ts'
import { type TextRules, type TokenizerFile, withoutTokens } from './vocabulary.ts'

export interface HuggingFaceOptions {
  /** Special tokens the template needs; one that the vocabulary has without calling it special keeps its id. */
  readonly wanted: readonly string[]
  /** Added tokens inside a text are recognised, as the tokenizers package does, instead of being ordinary text. */
  readonly recognise: boolean
}

/**
 * Reads such a file; `name` is the file as the user knows it.
 * @throws ShardmillError BAD_TOKENIZER when it is damaged, or of a kind that is not supported.
 */
export function readHuggingFace(bytes: Uint8Array, name: string, options: HuggingFaceOptions): TokenizerFile {
  const file = readHuggingFaceJson(bytes, name)
  const bad: Bad = (why) => new ShardmillError('BAD_TOKENIZER', why, { at: { file: name }, hint: HINT })
  const added = addedTokens(file, options.wanted, bad)
  const ordinary = ordinaryAmong(file, added, options.recognise, bad)
  const rules = rulesOf(file, added, ordinary, options, bad)
  const tokens = tokensOf(file, added, ordinary, bad)
  const pattern = onlyPattern(file)
  const idsBelow = [...file.vocabulary.values()].reduce((most, id) => Math.max(most, id + 1), 0)
  const packed = packTokenizer({ ...tokens, pattern: pattern ?? 'steps' }, name, bytes.length, HINT)
  const whole = { ...packed, specialTokens: withOrdinary(packed, ordinary, options), idsBelow }
  const merges = mergeColumn(whole, file)

  // Of these patterns bpe/ and the tiktoken package know that they leave no text out.
  if (pattern !== undefined && recognisePattern(pattern) !== undefined) {
    const { kept, apart } = withoutUnmade(whole, merges)
    const asItIs = (tokenizer: TokenizerFile) => (rules === undefined ? tokenizer : { ...tokenizer, rules })
    if (!(file.ignoreMerges && apart.size > 0) && mergesInOrderOfIds(kept, apart, merges)) return asItIs(kept)
    if (file.ignoreMerges && mergesLikeTiktoken(whole, merges)) return asItIs(whole)
  }
  return {
    ...whole,
    rules: { ...rules, steps: file.steps, ...(file.ignoreMerges ? { wholeFirst: true } : {}) },
    merges,
  }
}

type Bad = (why: string) => ShardmillError

/** The pattern, where texts are split by one and by nothing else. */
function onlyPattern({ steps }: HuggingFaceFile): string | undefined {
  const [step] = steps
  if (steps.length !== 1 || step === undefined || !('regex' in step.find)) return undefined
  return step.behavior === 'isolated' ? step.find.regex : undefined
}

/**
 * The added tokens that are ordinary tokens too: those that stand in a merge, byte symbols, and with `ignore_merges`
 * those that stand for another text than their name: a piece of a text can be that one as a whole.
 */
function ordinaryAmong(
  file: HuggingFaceFile,
  added: readonly AddedToken[],
  recognise: boolean,
  bad: Bad,
): readonly AddedToken[] {
  const merged = new Set(file.merges.flatMap(([left, right]) => [left, right, left + right]))
  return added.filter((token) => {
    const { content } = token
    const bytes = bytesOfToken(content)
    if (bytes === undefined) return false
    if (file.vocabulary.has(content)) {
      const isOtherText = isUtf8(bytes) && !Buffer.from(content).equals(bytes)
      return merged.has(content) || bytes.length === 1 || (file.ignoreMerges && isOtherText)
    }
    if (bytes.length > 1) return false
    const byte = bytes[0]!
    // A byte of ASCII is a whole character, so recognising leaves none of them; normalizing afterwards may bring one in.
    const neverLeft = byte < 0x80 && recognise && (file.normalize === undefined || token.normalized)
    if (neverLeft || isNeverInUtf8(byte)) return true
    throw bad(
      `the byte symbol ${JSON.stringify(content)} is an added token, but not in the vocabulary: texts have no token for the byte 0x${byte.toString(16)}`,
    )
  })
}

/** No text has such a byte, so that it does not matter which token it is. */
function isNeverInUtf8(byte: number): boolean {
  return byte === 0xc0 || byte === 0xc1 || byte >= 0xf5
}

/** The vocabulary without the added tokens that are no ordinary tokens; they are the special ones. */
function tokensOf(
  file: HuggingFaceFile,
  added: readonly AddedToken[],
  ordinary: readonly AddedToken[],
  bad: Bad,
): Omit<RawTokenizer, 'pattern'> {
  const special = new Map(added.map(({ content, id }) => [content, id] as const))
  for (const { content } of ordinary) special.delete(content)
  const texts = new Map([...file.vocabulary, ...ordinary.map(({ content, id }) => [content, id] as const)])
  const tokens: Uint8Array[] = []
  const ranks: number[] = []
  for (const [text, id] of texts) {
    if (special.has(text)) continue
    const token = bytesOfToken(text)
    if (token === undefined) {
      throw bad(`the token ${JSON.stringify(text)} (id ${id}) is not in the byte-level alphabet`)
    }
    tokens.push(token)
    ranks.push(id)
  }
  for (const [left, right] of file.merges) {
    for (const text of [left, right, left + right]) {
      if (file.vocabulary.has(text) && !special.has(text)) continue
      throw bad(
        `the merge of ${JSON.stringify(left)} and ${JSON.stringify(right)} needs ${JSON.stringify(text)}, which is no token`,
      )
    }
  }
  return { tokens, ranks, specialTokens: [...special] }
}

/** The special tokens, and those `ordinary` ones that are looked up by name: the template's, and recognised ones. */
function withOrdinary(
  { specialTokens }: TokenizerFile,
  ordinary: readonly AddedToken[],
  { wanted, recognise }: HuggingFaceOptions,
): TokenizerFile['specialTokens'] {
  const named = ordinary.filter(({ content }) => recognise || wanted.includes(content))
  return [...specialTokens, ...named.map(({ content, id }) => [content, id] as const)].toSorted(
    (a, b) => a[1] - b[1],
  )
}

function addedTokens(file: HuggingFaceFile, wanted: readonly string[], bad: Bad) {
  const added = new Map<string, AddedToken>()
  for (const token of file.added) {
    const known = file.vocabulary.get(token.content)
    if (known !== undefined && known !== token.id) {
      throw bad(
        `the added token ${JSON.stringify(token.content)} has id ${token.id}, but ${known} in the vocabulary`,
      )
    }
    // Of tokens with one name the first counts, as in the original.
    if (!added.has(token.content)) added.set(token.content, token)
  }
  for (const content of wanted) {
    const id = file.vocabulary.get(content)
    if (!added.has(content) && id !== undefined)
      added.set(content, { content, id, normalized: false, options: [] })
  }
  return [...added.values()]
}

function rulesOf(
  file: HuggingFaceFile,
  added: readonly AddedToken[],
  ordinary: readonly AddedToken[],
  { wanted, recognise }: HuggingFaceOptions,
  bad: Bad,
): TextRules | undefined {
  const special = recognise ? added.find(({ options }) => options.length > 0) : undefined
  if (special !== undefined) {
    throw bad(
      `the added token ${JSON.stringify(special.content)} has ${special.options.join(', ')}, which cannot be recognised in texts`,
    )
  }
  const contents = (normalized: boolean) =>
    added.filter((token) => token.normalized === normalized).map(({ content }) => content)
  if (recognise && file.normalize !== undefined) checkForms(contents(true), bad)
  const reserved = ordinary.map(({ content }) => content).filter((content) => wanted.includes(content))
  const rules: TextRules = {
    ...(file.normalize === undefined ? {} : { normalize: file.normalize }),
    ...(recognise ? { recognise: { raw: contents(false), normalized: contents(true) } } : {}),
    ...(!recognise && reserved.length > 0 ? { reserved } : {}),
  }
  return Object.keys(rules).length === 0 ? undefined : rules
}

/** Refuses added tokens that normalizing makes one: a text does not say which of them it has. */
function checkForms(contents: readonly string[], bad: Bad): void {
  const known = new Map<string, string>()
  for (const content of contents) {
    const form = toNfc(content)
    const other = known.get(form)
    if (other !== undefined)
      throw bad(
        `the added tokens ${JSON.stringify(other)} and ${JSON.stringify(content)} are the same text after normalizing`,
      )
    known.set(form, content)
  }
}

/** Index of each token by its text in Latin-1. */
function indices({ bytes, offsets, ids }: TokenizerFile): Map<string, number> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return new Map(
    Array.from(ids, (_, k) => [text.toString('latin1', offsets[k]!, offsets[k + 1]!), k] as const),
  )
}

function mergeColumn(tokenizer: TokenizerFile, { merges }: HuggingFaceFile): Uint32Array {
  const index = indices(tokenizer)
  const column = new Uint32Array(3 * merges.length)
  const indexOf = (text: string) => {
    const found = index.get(Buffer.from(bytesOfToken(text)!).toString('latin1'))
    if (found === undefined) throw new TypeError(`the merged token ${JSON.stringify(text)} has no index`)
    return found
  }
  merges.forEach(([left, right], m) => {
    column.set([indexOf(left), indexOf(right), indexOf(left + right)], 3 * m)
  })
  return column
}

/** Sets apart the tokens that no merge makes: no text gives them. */
function withoutUnmade(
  whole: TokenizerFile,
  merges: Uint32Array,
): { kept: TokenizerFile; apart: ReadonlySet<number> } {
  const made = new Uint8Array(whole.ids.length)
  for (let m = 2; m < merges.length; m += 3) made[merges[m]!] = 1
  const apart = new Set<number>()
  for (let k = 0; k < made.length; k++) if (made[k] === 0 && sizeOf(whole, k) > 1) apart.add(k)
  return { kept: { ...whole, ...withoutTokens(whole, (k) => apart.has(k)) }, apart }
}

function sizeOf({ offsets }: TokenizerFile, token: number): number {
  return offsets[token + 1]! - offsets[token]!
}

/**
 * Whether the list of merges says what tiktoken does: any two tokens that make a third are merged, in the order of its
 * id. Files that were converted from tiktoken are so.
 */
function mergesLikeTiktoken(whole: TokenizerFile, merges: Uint32Array): boolean {
  const listed = new Set<number>()
  for (let m = 0; m < merges.length; m += 3) {
    if (m > 0 && merges[m + 2]! < merges[m - 1]!) return false
    listed.add(merges[m]! * 0x1000000 + merges[m + 1]!)
  }
  if (3 * listed.size !== merges.length) return false
  const index = indices(whole)
  const text = Buffer.from(whole.bytes).toString('latin1')
  for (let k = 0; k < whole.ids.length; k++) {
    const end = whole.offsets[k + 1]!
    for (let cut = whole.offsets[k]! + 1; cut < end; cut++) {
      const left = index.get(text.slice(whole.offsets[k]!, cut))
      const right = left === undefined ? undefined : index.get(text.slice(cut, end))
      if (left !== undefined && right !== undefined && !listed.has(left * 0x1000000 + right)) return false
    }
  }
  return true
}

/** Whether the pairs that bpe/ merges the `kept` tokens from stand among the merges in the order of ids. */
function mergesInOrderOfIds(kept: TokenizerFile, apart: ReadonlySet<number>, merges: Uint32Array): boolean {
  const tables = buildMergeTables(kept)
  if (tables === undefined) return false
  const { splits } = tables.pair
  const all = kept.ids.length + apart.size
  const index = new Int32Array(all).fill(-1)
  for (let k = 0, at = 0; k < all; k++) if (!apart.has(k)) index[k] = at++
  /** The pair of each token → its place in the list. */
  const places = new Map<number, number>()
  for (let m = 0; m < merges.length; m += 3) {
    const result = index[merges[m + 2]!]!
    if (result < 0 || splits[2 * result] !== index[merges[m]!]) continue
    if (splits[2 * result + 1] === index[merges[m + 1]!]) places.set(result, m)
  }
  let before = -1
  for (let k = 0; k < kept.ids.length; k++) {
    if (sizeOf(kept, k) === 1) continue
    const place = places.get(k)
    if (place === undefined || place < before) return false
    before = place
  }
  return true
}
