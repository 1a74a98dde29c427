/**
 * A vocabulary's encoder with its rules: added tokens and NFC around the encoder of bpe/, or, where bpe/ cannot give
 * the same ids, splitting by steps and merging by the list of merges.
 */
import { buildTables, createEncoder, type Encoder, type EncoderTables } from '../../bpe/index.ts'
import { ShardmillError } from '../../errors/index.ts'
import { createMerger } from './merge-pairs.ts'
import { isPlain, toNfc } from './nfc.ts'
import { createSplitter, literals } from './split-text.ts'
import type { StoredVocabulary, TextRules } from './vocabulary.ts'

/** What an encoder needs: built once a process, cheap to send to its threads. */
export interface TextTables extends EncoderTables {
  readonly text?: {
    readonly rules: TextRules
    /** Ids of all special and added tokens. */
    readonly specials: ReadonlyMap<string, number>
    readonly merges?: Uint32Array
  }
}

export interface TextEncoder extends Omit<Encoder, 'engine'> {
  /** 'merges': splitting and merging as the file says, where the other two would not give the same ids. */
  readonly engine: Encoder['engine'] | 'merges'
  /** `encode` needs room for this many ids a byte: normalizing can lengthen a text. */
  readonly room: number
}

/** No form of Unicode makes a text of more than three times its bytes in UTF-8. */
const longestNfc = 3

/** Pieces that an encoder by merges remembers, and the longest of them in characters. */
const remembered = 200_000
const longestRemembered = 64

/** @throws BAD_TOKENIZER when the vocabulary is damaged or lacks a single byte */
export function buildTextTables(stored: StoredVocabulary): TextTables {
  const { rules, merges, specials, pattern, bytes, offsets, ids } = stored
  if (rules === undefined) return buildTables(stored)
  if (merges === undefined) return { ...buildTables(stored), text: { rules, specials } }
  const vocabulary = { pattern, bytes: inShared(bytes), offsets: inShared(offsets), ids: inShared(ids) }
  return { vocabulary, fast: undefined, text: { rules, specials, merges: inShared(merges) } }
}

export function createTextEncoder(tables: TextTables): TextEncoder {
  const { text } = tables
  if (text === undefined) return { ...createEncoder(tables), room: 1 }
  const { rules, specials, merges } = text
  const plain: Inner = merges === undefined ? createEncoder(tables) : mergeEncoder(tables, rules, merges)
  const { recognise, reserved } = rules
  if (recognise !== undefined) return recognising(plain, { ...rules, recognise }, specials)
  const encoder = rules.normalize === undefined ? { ...plain, room: 1 } : normalizing(plain)
  return reserved === undefined ? encoder : refusing(encoder, idsByText(reserved, specials))
}

/**
 * Ids of added tokens, by what is found of them in a text: their names, brought into `form`.
 * @throws TypeError when one has no id
 */
export function idsByText(
  names: readonly string[],
  specials: ReadonlyMap<string, number>,
  form = (text: string) => text,
): ReadonlyMap<string, number> {
  return new Map(
    names.map((name) => {
      const id = specials.get(name)
      if (id === undefined) throw new TypeError(`the added token ${JSON.stringify(name)} has no id`)
      return [form(name), id] as const
    }),
  )
}

type Out = Int32Array | Uint32Array

function stringOf(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString()
}

/** Lone surrogates become U+FFFD, as in UTF-8. */
function wellFormed(text: string): string {
  return Buffer.from(text).toString()
}

/** Puts ids into `out` from `at`, at most `limit` of them. @returns where they end */
function put(ids: ArrayLike<number>, out: Out, at: number, limit: number | undefined): number {
  const count = Math.min(ids.length, limit ?? ids.length)
  if (at + count > out.length) throw new TypeError(`no room for ${count} ids`)
  for (let i = 0; i < count; i++) out[at + i] = ids[i]!
  return at + count
}

type Inner = Omit<TextEncoder, 'room'>

function normalizing(inner: Inner): TextEncoder {
  return {
    engine: inner.engine,
    room: longestNfc,
    encode(bytes, start, end, out, at, limit) {
      if (isPlain(bytes, start, end)) return inner.encode(bytes, start, end, out, at, limit)
      const text = stringOf(bytes, start, end)
      const normal = toNfc(text)
      if (normal === text) return inner.encode(bytes, start, end, out, at, limit)
      return put(inner.encodeString(normal), out, at, limit)
    },
    encodeString: (text) => inner.encodeString(toNfc(wellFormed(text))),
  }
}

/** Lets no text give one of the `reserved` ids. */
function refusing(inner: TextEncoder, reserved: ReadonlyMap<string, number>): TextEncoder {
  const names = new Map([...reserved].map(([name, id]) => [id, name]))
  function check(ids: ArrayLike<number>, from: number, to: number): void {
    for (let i = from; i < to; i++) {
      const name = names.get(ids[i]!)
      if (name === undefined) continue
      throw new ShardmillError(
        'BAD_ROW',
        `the text becomes the template's special token ${JSON.stringify(name)}, which merges make of it`,
        {
          hint: 'Take it out of the text, or let texts have special tokens: tokenizer.addedTokens: recognise.',
        },
      )
    }
  }
  return {
    engine: inner.engine,
    room: inner.room,
    encode(bytes, start, end, out, at, limit) {
      const stop = inner.encode(bytes, start, end, out, at, limit)
      check(out, at, stop)
      return stop
    },
    encodeString(text) {
      const ids = inner.encodeString(text)
      check(ids, 0, ids.length)
      return ids
    },
  }
}

type Recognising = TextRules & Required<Pick<TextRules, 'recognise'>>

/** Added tokens become their ids; what stands between them is a text of its own. */
function recognising(plain: Inner, rules: Recognising, specials: ReadonlyMap<string, number>): TextEncoder {
  const { raw, normalized } = rules.recognise
  const between = rules.normalize === undefined ? plain : normalizing(plain)
  const normal = rules.normalize === undefined ? (text: string) => text : toNfc
  const pieces = (texts: readonly string[]) => (texts.length === 0 ? undefined : literals(texts))
  const rawPattern = pieces(raw)
  const rawIds = idsByText(raw, specials)
  const normalIds = idsByText(normalized, specials, normal)
  const normalPattern = pieces(normalized.map(normal))
  const firstBytes = new Uint8Array(256)
  for (const text of [...raw, ...normalized.map(normal)]) firstBytes[Buffer.from(text)[0]!] = 1

  function encodeString(text: string): Uint32Array {
    const ids: number[] = []
    splitBy(text, rawPattern, ids, rawIds, (rest) => {
      splitBy(normal(rest), normalPattern, ids, normalIds, (last) => {
        for (const id of plain.encodeString(last)) ids.push(id)
      })
    })
    return Uint32Array.from(ids)
  }
  return {
    engine: plain.engine,
    room: rules.normalize === undefined ? 1 : longestNfc,
    encode(bytes, start, end, out, at, limit) {
      let candidate = !isPlain(bytes, start, end) && rules.normalize !== undefined
      for (let i = start; i < end && !candidate; i++) candidate = firstBytes[bytes[i]!] === 1
      if (!candidate) return between.encode(bytes, start, end, out, at, limit)
      return put(encodeString(stringOf(bytes, start, end)), out, at, limit)
    },
    encodeString: (text) => encodeString(wellFormed(text)),
  }
}

function splitBy(
  text: string,
  pattern: RegExp | undefined,
  ids: number[],
  idOf: ReadonlyMap<string, number>,
  rest: (text: string) => void,
): void {
  let at = 0
  for (const match of pattern === undefined ? [] : text.matchAll(pattern)) {
    if (match.index > at) rest(text.slice(at, match.index))
    ids.push(idOf.get(match[0])!)
    at = match.index + match[0].length
  }
  if (at < text.length) rest(text.slice(at))
}

/** Splits by the steps and merges by the list; what a piece gave is remembered. */
function mergeEncoder({ vocabulary }: TextTables, rules: TextRules, merges: Uint32Array): Inner {
  const { bytes, offsets, ids } = vocabulary
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const byteToken = new Int32Array(256)
  const whole = new Map<string, number>()
  for (let token = 0; token < ids.length; token++) {
    if (offsets[token + 1]! - offsets[token]! === 1) byteToken[bytes[offsets[token]!]!] = token
    if (rules.wholeFirst === true)
      whole.set(text.toString('latin1', offsets[token]!, offsets[token + 1]!), ids[token]!)
  }
  const split = createSplitter(rules.steps ?? [])
  const merger = createMerger({ byteToken, merges })
  const known = new Map<string, readonly number[]>()
  let parts = new Int32Array(256)

  function idsOf(piece: string): readonly number[] {
    const found = known.get(piece)
    if (found !== undefined) return found
    const utf8 = Buffer.from(piece)
    const one = rules.wholeFirst === true ? whole.get(utf8.toString('latin1')) : undefined
    let result: readonly number[]
    if (one !== undefined) result = [one]
    else {
      if (parts.length < utf8.length) parts = new Int32Array(2 * utf8.length)
      result = Array.from(parts.subarray(0, merger.merge(utf8, parts)), (token) => ids[token]!)
    }
    // When it is full, nothing more is learned: ids are the same either way, and memory is bounded.
    if (piece.length <= longestRemembered && known.size < remembered) known.set(piece, result)
    return result
  }
  return {
    engine: 'merges',
    encode(source, start, end, out, at, limit) {
      const stop = at + (limit ?? end - start)
      for (const piece of split(stringOf(source, start, end))) {
        if (at >= stop) break
        for (const id of idsOf(piece)) out[at++] = id
      }
      return at
    },
    encodeString: (string) => Uint32Array.from(split(wellFormed(string)).flatMap(idsOf)),
  }
}

/** A copy that threads share instead of copying it again. */
function inShared<T extends Uint8Array | Uint32Array>(column: T): T {
  const buffer = new SharedArrayBuffer(column.byteLength)
  const copy = new (column.constructor as new (buffer: SharedArrayBuffer) => T)(buffer)
  copy.set(column)
  return copy
}
