/**
 * The parts of a `tokenizer.json` that decide which ids a text gets, checked: normalizer, pre-tokenizer, model and
 * added tokens. Post-processor, decoder, truncation and padding say nothing about a text's own tokens.
 */
import { ShardmillError } from '../../errors/index.ts'
import { PatternError, translatePattern } from './split-pattern.ts'
import type { SplitStep } from './vocabulary.ts'

/** The pattern of a ByteLevel pre-tokenizer with `use_regex`. */
export const BYTE_LEVEL_PATTERN =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/** Larger files are no tokenizers: the largest vocabularies in use have 35 MB. */
export const mostFileBytes = 100_000_000
const mostMerges = 1_000_000
const deepest = 8

export const HINT =
  'Supported are byte-level BPE tokenizers (GPT-2, Llama 3, Qwen, SmolLM and their like): model BPE, pre-tokenizer ByteLevel, alone or after Split and Digits, normalizer NFC or none.'

export interface AddedToken {
  readonly content: string
  readonly id: number
  readonly normalized: boolean
  /** single_word, lstrip or rstrip. */
  readonly options: readonly string[]
}

export interface HuggingFaceFile {
  readonly normalize: 'NFC' | undefined
  readonly steps: readonly SplitStep[]
  readonly vocabulary: ReadonlyMap<string, number>
  /** Left and right text of each merge, in order. */
  readonly merges: readonly (readonly [string, string])[]
  readonly ignoreMerges: boolean
  readonly added: readonly AddedToken[]
}

type Fields = Readonly<Record<string, unknown>>

/**
 * Reads such a file; `name` is the file as the user knows it.
 * @throws ShardmillError BAD_TOKENIZER, naming what is not supported or damaged.
 */
export function readHuggingFaceJson(bytes: Uint8Array, name: string): HuggingFaceFile {
  const bad: Bad = (why, cause) =>
    new ShardmillError('BAD_TOKENIZER', why, { at: { file: name }, hint: HINT, cause })
  if (bytes.length > mostFileBytes) throw bad(tooLarge(bytes.length))
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw bad('the tokenizer.json is not JSON', cause)
  }
  const file = fields(json, 'the tokenizer.json', bad)
  const model = fields(file['model'], 'model', bad)
  checkModel(model, bad)
  return {
    normalize: normalizerOf(file['normalizer'], bad),
    steps: stepsOf(file['pre_tokenizer'], bad),
    vocabulary: vocabularyOf(model['vocab'], bad),
    merges: mergesOf(model['merges'], bad),
    ignoreMerges: model['ignore_merges'] === true,
    added: addedOf(file['added_tokens'], bad),
  }
}

export function tooLarge(bytes: number): string {
  return `a tokenizer.json of ${bytes} bytes is more than the ${mostFileBytes} that are read`
}

type Bad = (why: string, cause?: unknown) => ShardmillError

function fields(value: unknown, what: string, bad: Bad): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw bad(`${what} is not an object`)
  return value as Fields
}

/** Refuses every option that is set to something else than one of `fine`. */
function only(object: Fields, what: string, options: Readonly<Record<string, readonly unknown[]>>, bad: Bad) {
  for (const [option, fine] of Object.entries(options)) {
    const value = object[option] ?? null
    if (value !== null && !fine.includes(value))
      throw bad(`${what}: ${option} ${shown(value)} is not supported`)
  }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`
}

function checkModel(model: Fields, bad: Bad): void {
  // Files of the first versions have no type; only BPE has merges.
  if (model['type'] !== 'BPE' && !(model['type'] === undefined && Array.isArray(model['merges']))) {
    throw bad(`the model ${shown(model['type'])} is not supported`)
  }
  only(
    model,
    'model BPE',
    {
      dropout: [0],
      continuing_subword_prefix: [''],
      end_of_word_suffix: [''],
      byte_fallback: [false],
      ignore_merges: [false, true],
    },
    bad,
  )
}

function normalizerOf(value: unknown, bad: Bad, depth = 0): 'NFC' | undefined {
  if (value === null || value === undefined) return undefined
  const normalizer = fields(value, 'the normalizer', bad)
  if (normalizer['type'] === 'NFC') return 'NFC'
  const inner = normalizer['normalizers']
  if (normalizer['type'] !== 'Sequence' || !Array.isArray(inner) || depth > deepest) {
    throw bad(`the normalizer ${shown(normalizer['type'])} is not supported`)
  }
  return inner.map((one: unknown) => normalizerOf(one, bad, depth + 1)).find((form) => form !== undefined)
}

function stepsOf(value: unknown, bad: Bad): SplitStep[] {
  const parts = flat(value, bad)
  const last = parts.pop()
  if (last === undefined || last['type'] !== 'ByteLevel') {
    throw bad(`the pre-tokenizer ends with ${shown(last?.['type'] ?? null)}, not with ByteLevel`)
  }
  const steps = parts.map((part) => stepOf(part, bad))
  only(last, 'the pre-tokenizer ByteLevel', { add_prefix_space: [false], use_regex: [true, false] }, bad)
  // Left out, add_prefix_space and use_regex are true.
  if (last['add_prefix_space'] !== false) {
    throw bad('the pre-tokenizer ByteLevel: add_prefix_space is not false, which is not supported')
  }
  if (last['use_regex'] !== false) {
    steps.push({ find: { regex: BYTE_LEVEL_PATTERN }, behavior: 'isolated', invert: false })
  }
  return steps
}

function flat(value: unknown, bad: Bad, depth = 0): Fields[] {
  if (value === null || value === undefined) return []
  const part = fields(value, 'the pre-tokenizer', bad)
  if (part['type'] !== 'Sequence') return [part]
  const inner = part['pretokenizers']
  if (!Array.isArray(inner) || depth > deepest) throw bad('the pre-tokenizer Sequence is damaged')
  return inner.flatMap((one: unknown) => flat(one, bad, depth + 1))
}

const BEHAVIORS: ReadonlyMap<unknown, SplitStep['behavior']> = new Map([
  ['Isolated', 'isolated'],
  ['Removed', 'removed'],
  ['MergedWithPrevious', 'merged-with-previous'],
  ['MergedWithNext', 'merged-with-next'],
  ['Contiguous', 'contiguous'],
])

function stepOf(part: Fields, bad: Bad): SplitStep {
  const { type } = part
  if (type === 'Digits') {
    return {
      find: { digits: part['individual_digits'] === true ? 'each' : 'runs' },
      behavior: 'isolated',
      invert: false,
    }
  }
  if (type !== 'Split') throw bad(`the pre-tokenizer ${shown(type)} before ByteLevel is not supported`)
  const behavior = BEHAVIORS.get(part['behavior'])
  if (behavior === undefined)
    throw bad(`the pre-tokenizer Split: behavior ${shown(part['behavior'])} is not supported`)
  const invert = part['invert'] === true
  const pattern = fields(part['pattern'], 'the pattern of the pre-tokenizer Split', bad)
  const { Regex: regex, String: text } = pattern
  if (typeof text === 'string' && text !== '') return { find: { text }, behavior, invert }
  if (typeof regex !== 'string' || regex === '') throw bad('the pre-tokenizer Split has no pattern')
  try {
    new RegExp(translatePattern(regex), 'v')
  } catch (cause) {
    const what = cause instanceof PatternError ? cause.message : 'it'
    throw bad(`the pattern of the pre-tokenizer Split is not supported: ${what} in ${shown(regex)}`, cause)
  }
  return { find: { regex }, behavior, invert }
}

function vocabularyOf(value: unknown, bad: Bad): Map<string, number> {
  const vocabulary = new Map<string, number>()
  for (const [text, id] of Object.entries(fields(value, 'the vocabulary', bad))) {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= 2 ** 31) {
      throw bad(`the id of the token ${shown(text)} is ${shown(id)}, not 0 to 2^31 - 1`)
    }
    vocabulary.set(text, id)
  }
  return vocabulary
}

function mergesOf(value: unknown, bad: Bad): [string, string][] {
  if (!Array.isArray(value)) throw bad('the merges are not a list')
  if (value.length > mostMerges) throw bad(`${value.length} merges are more than ${mostMerges}`)
  return value.map((merge: unknown, i) => {
    const pair: unknown = typeof merge === 'string' ? merge.split(' ') : merge
    if (!Array.isArray(pair) || pair.length !== 2) throw bad(`merge ${i} is not two tokens: ${shown(merge)}`)
    const [left, right] = pair as [unknown, unknown]
    if (typeof left !== 'string' || typeof right !== 'string' || left === '' || right === '') {
      throw bad(`merge ${i} is not two tokens: ${shown(merge)}`)
    }
    return [left, right]
  })
}

function addedOf(value: unknown, bad: Bad): AddedToken[] {
  if (value === null || value === undefined) return []
  if (!Array.isArray(value)) throw bad('added_tokens is not a list')
  return value.map((entry: unknown, i) => {
    const token = fields(entry, `added token ${i}`, bad)
    const { content, id } = token
    if (typeof content !== 'string' || content === '') throw bad(`added token ${i} has no content`)
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= 2 ** 31) {
      throw bad(`the id of the added token ${shown(content)} is ${shown(id)}, not 0 to 2^31 - 1`)
    }
    const options = ['single_word', 'lstrip', 'rstrip'].filter((option) => token[option] === true)
    return { content, id, normalized: token['normalized'] === true, options }
  })
}
