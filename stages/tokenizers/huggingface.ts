/**
 * Hugging Face's `tokenizer.json`, for byte-level BPE.
 *
 * There, pieces are merged in the order of a list of merges; here (bpe/) in the order of ids, which is faster. Both
 * give the same ids when every token is what its own bytes merge to, by one pair only, and these pairs stand in the
 * list in the order of the ids: this is tested for each file, and what fails keeps its list (text-encoder.ts).
 */
import { buildMergeTables } from '../../bpe/merge-tables.ts'
import { recognisePattern } from '../../bpe/patterns.ts'
import { ShardmillError } from '../../errors/index.ts'
import { bytesOfToken } from './byte-level.ts'
import { type AddedToken, HINT, type HuggingFaceFile, readHuggingFaceJson } from './huggingface-file.ts'
import { packTokenizer } from './tokenizer-file.ts'
import type { TextRules, TokenizerFile } from './vocabulary.ts'

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
  const bad = (why: string) => new ShardmillError('BAD_TOKENIZER', why, { at: { file: name }, hint: HINT })
  const added = addedTokens(file, options.wanted, bad)
  const base = rulesOf(file, added, options.recognise, bad)
  const special = new Map(added.map(({ content, id }) => [content, id] as const))
  const merged = new Set(file.merges.map(([left, right]) => left + right))

  // A merge that makes an added token does so in a text too: then it is an ordinary token with a second life.
  const specialTokens = [...special].filter(([content]) => !merged.has(content))
  const isToken = (text: string, id: number) => special.get(text) !== id || merged.has(text)
  const texts: string[] = []
  const tokens: Uint8Array[] = []
  const ranks: number[] = []
  let unreachable = false
  let idsBelow = 0
  for (const [text, id] of file.vocabulary) {
    if (id >= idsBelow) idsBelow = id + 1
    if (!isToken(text, id)) continue
    const token = bytesOfToken(text)
    if (token === undefined) throw bad(`the token ${JSON.stringify(text)} (id ${id}) is not in the byte-level alphabet`)
    texts.push(text)
    tokens.push(token)
    ranks.push(id)
    if (token.length > 1 && !merged.has(text)) unreachable = true
  }
  for (const [left, right] of file.merges) {
    for (const text of [left, right, left + right]) {
      const id = file.vocabulary.get(text)
      if (id === undefined) throw bad(`the merge of ${JSON.stringify(left)} and ${JSON.stringify(right)} needs ${JSON.stringify(text)}, which is no token`)
      if (!isToken(text, id)) throw bad(`a merge uses the added token ${JSON.stringify(text)}`)
    }
  }

  const [step] = file.steps
  const pattern = file.steps.length === 1 && step !== undefined && 'regex' in step.find && step.behavior === 'isolated' ? step.find.regex : undefined
  if (pattern !== undefined && recognisePattern(pattern) !== undefined && !(file.ignoreMerges && unreachable)) {
    const kept = texts.flatMap((text, k) => (tokens[k]!.length === 1 || merged.has(text) ? [k] : []))
    const fast = packTokenizer(
      { pattern, tokens: kept.map((k) => tokens[k]!), ranks: kept.map((k) => ranks[k]!), specialTokens },
      name,
      bytes.length,
      HINT,
    )
    if (mergesInOrderOfIds(fast, file)) return { ...fast, idsBelow, ...(base === undefined ? {} : { rules: base }) }
  }

  const exact = packTokenizer(
    { pattern: pattern ?? 'steps', tokens, ranks, specialTokens },
    name,
    bytes.length,
    HINT,
  )
  return {
    ...exact,
    idsBelow,
    rules: { ...base, steps: file.steps, ...(file.ignoreMerges ? { wholeFirst: true } : {}) },
    merges: mergeColumn(exact, file),
  }
}

function addedTokens(file: HuggingFaceFile, wanted: readonly string[], bad: (why: string) => ShardmillError) {
  const added = new Map<string, AddedToken>()
  for (const token of file.added) {
    const known = file.vocabulary.get(token.content)
    if (known !== undefined && known !== token.id) {
      throw bad(`the added token ${JSON.stringify(token.content)} has id ${token.id}, but ${known} in the vocabulary`)
    }
    added.set(token.content, token)
  }
  for (const content of wanted) {
    const id = file.vocabulary.get(content)
    if (!added.has(content) && id !== undefined) added.set(content, { content, id, normalized: false, options: [] })
  }
  return [...added.values()]
}

function rulesOf(
  file: HuggingFaceFile,
  added: readonly AddedToken[],
  recognise: boolean,
  bad: (why: string) => ShardmillError,
): TextRules | undefined {
  const special = recognise ? added.find(({ options }) => options.length > 0) : undefined
  if (special !== undefined) {
    throw bad(`the added token ${JSON.stringify(special.content)} has ${special.options.join(', ')}, which cannot be recognised in texts`)
  }
  const contents = (normalized: boolean) => added.filter((token) => token.normalized === normalized).map(({ content }) => content)
  const rules: TextRules = {
    ...(file.normalize === undefined ? {} : { normalize: file.normalize }),
    ...(recognise ? { recognise: { raw: contents(false), normalized: contents(true) } } : {}),
  }
  return Object.keys(rules).length === 0 ? undefined : rules
}

/** Index of each token by its text in Latin-1. */
function indices({ bytes, offsets, ids }: TokenizerFile): Map<string, number> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return new Map(Array.from(ids, (_, k) => [text.latin1Slice(offsets[k]!, offsets[k + 1]!), k] as const))
}

function mergeColumn(tokenizer: TokenizerFile, { merges }: HuggingFaceFile): Uint32Array {
  const index = indices(tokenizer)
  const column = new Uint32Array(3 * merges.length)
  const latin1 = (text: string) => Buffer.from(bytesOfToken(text)!).latin1Slice()
  merges.forEach(([left, right], m) => {
    const texts = [latin1(left), latin1(right)] as const
    column.set([index.get(texts[0])!, index.get(texts[1])!, index.get(texts[0] + texts[1])!], 3 * m)
  })
  return column
}

function mergesInOrderOfIds(tokenizer: TokenizerFile, file: HuggingFaceFile): boolean {
  const tables = buildMergeTables(tokenizer)
  if (tables === undefined) return false
  const column = mergeColumn(tokenizer, file)
  /** The pair of each token that is not a single byte → its place in the list. */
  const places = new Map<number, number>()
  for (let m = 0; m < column.length; m += 3) {
    const [left, right, result] = column.subarray(m, m + 3) as unknown as [number, number, number]
    if (tables.left[result] === left && tables.right[result] === right) places.set(result, m)
  }
  let before = -1
  for (let token = 0; token < tokenizer.ids.length; token++) {
    if (tables.length[token] === 1) continue
    const place = places.get(token)
    if (place === undefined || place < before) return false
    before = place
  }
  return true
}
