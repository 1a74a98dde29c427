/**
 * nanochat's `tokenizer.pkl`: one pickle of a `tiktoken.Encoding`, that is
 *
 *   class tiktoken.core.Encoding, (), NEWOBJ,
 *   {"name": str, "pat_str": str, "mergeable_ranks": {bytes: int}, "special_tokens": {str: int}}, BUILD
 *
 * A pickle is a program for a stack machine. Here only the instructions that build strings, bytes, numbers and
 * dictionaries are understood, and the one class name is compared, never looked up; every other instruction is an
 * error. So nothing is ever executed, and time and memory are bounded by the file's size.
 */
import { ShardmillError } from '../../errors/index.ts'
import { PICKLE_OPCODES } from './pickle-opcodes.ts'
import { packTokenizer } from './tokenizer-file.ts'
import type { TokenizerFile } from './vocabulary.ts'

const HINT =
  'A tokenizer.pkl is one pickle (protocol 3 to 5) of a tiktoken.Encoding, as nanochat’s tokenizer training writes it. It is only read: what else a pickle may hold is refused, never executed.'

const STATE_KEYS = ['name', 'pat_str', 'mergeable_ranks', 'special_tokens'] as const

interface Dict {
  readonly kind: 'dict'
  /** Keys and values in turn. */
  readonly entries: Value[]
}
type Value =
  | string
  | number
  | Uint8Array
  | Dict
  | { readonly kind: 'mark' | 'emptyTuple' | 'encodingClass' }
  | { readonly kind: 'encoding'; state: Value | undefined }

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const MARK: Value = { kind: 'mark' }
const EMPTY_TUPLE: Value = { kind: 'emptyTuple' }
const ENCODING_CLASS: Value = { kind: 'encodingClass' }

/**
 * Reads such a file; `name` is the file as the user knows it and becomes the result's name.
 * @throws ShardmillError BAD_TOKENIZER, naming the opcode and its byte offset where the pickle is not of that form.
 */
export function readPickle(bytes: Uint8Array, name: string): TokenizerFile {
  const state = new PickleReader(bytes, name).read()
  const bad = (why: string) => new ShardmillError('BAD_TOKENIZER', why, { at: { file: name }, hint: HINT })
  if (typeof state === 'string') {
    throw new ShardmillError(
      'BAD_TOKENIZER',
      `the pickle only names tiktoken’s own encoding ${JSON.stringify(state)}`,
      {
        at: { file: name },
        hint: `Write tokenizer: { kind: tiktoken, encoding: ${state} } in the recipe instead.`,
      },
    )
  }
  if (!isKind(state, 'dict')) throw bad('the pickled Encoding has no state')
  const fields = fieldsOf(state, bad)
  if (typeof fields.name !== 'string') throw bad('the Encoding’s name is not a string')
  if (typeof fields.pat_str !== 'string') throw bad('the Encoding’s pat_str is not a string')
  const ranked = pairsOf(fields.mergeable_ranks, 'mergeable_ranks', bad)
  const specials = pairsOf(fields.special_tokens, 'special_tokens', bad)
  const tokens = ranked.map(([token]) => {
    if (!(token instanceof Uint8Array)) throw bad('a key of mergeable_ranks is not a byte string')
    return token
  })
  const specialTokens = specials.map(([special, id]) => {
    if (typeof special !== 'string') throw bad('a key of special_tokens is not a string')
    return [special, id] as const
  })
  const ranks = ranked.map(([, rank]) => rank)
  return packTokenizer({ pattern: fields.pat_str, tokens, ranks, specialTokens }, name, bytes.length, HINT)
}

/** Reads one pickle and returns the state of the Encoding in it. */
class PickleReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #name: string
  readonly #stack: Value[] = []
  readonly #memo = new Map<number, Value>()
  /** Where the next byte is read, and where the instruction in hand starts. */
  #at = 0
  #start = 0

  constructor(bytes: Uint8Array, name: string) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#name = name
  }

  read(): Value | undefined {
    if (this.#bytes[0] === 0x7b)
      throw this.#bad('the file is JSON (a tokenizer.json?), expected a tokenizer.pkl')
    if (this.#bytes[0] !== 0x80)
      throw this.#bad('the file does not start as a pickle of protocol 2 or later does')
    this.#at = 1
    const protocol = this.#u8()
    if (protocol < 2 || protocol > 5) throw this.#bad(`pickle protocol ${protocol} is not supported`)
    for (;;) {
      this.#start = this.#at
      const opcode = this.#u8()
      if (opcode === 0x2e /* STOP */) break
      this.#run(opcode)
    }
    if (this.#at !== this.#bytes.length) throw this.#bad(`bytes follow the pickle’s end at byte ${this.#at}`)
    const result = this.#pop()
    if (!isKind(result, 'encoding')) throw this.#bad('the pickled object is not a tiktoken.Encoding')
    if (this.#stack.length > 0) throw this.#bad('the pickle leaves objects on its stack')
    return result.state
  }

  #run(opcode: number): void {
    switch (opcode) {
      case 0x95: // FRAME: says how much to read ahead, nothing else
        if (this.#u64() > this.#bytes.length - this.#at) throw this.#cut('a frame')
        break
      case 0x94: // MEMOIZE
        this.#memo.set(this.#memo.size, this.#top())
        break
      case 0x71: // BINPUT
        this.#memo.set(this.#u8(), this.#top())
        break
      case 0x72: // LONG_BINPUT
        this.#memo.set(this.#u32(), this.#top())
        break
      case 0x73: // SETITEM
        this.#setItems(2)
        break
      case 0x75: // SETITEMS
        this.#setItemsToMark()
        break
      case 0x62: // BUILD
        this.#build()
        break
      default:
        this.#stack.push(this.#value(opcode))
    }
  }

  /** The value that an instruction pushes. */
  #value(opcode: number): Value {
    switch (opcode) {
      case 0x8c: // SHORT_BINUNICODE
        return this.#text(this.#u8())
      case 0x58: // BINUNICODE
        return this.#text(this.#u32())
      case 0x8d: // BINUNICODE8
        return this.#text(this.#u64())
      case 0x43: // SHORT_BINBYTES
        return this.#take(this.#u8(), 'a byte string')
      case 0x42: // BINBYTES
        return this.#take(this.#u32(), 'a byte string')
      case 0x8e: // BINBYTES8
        return this.#take(this.#u64(), 'a byte string')
      case 0x4b: // BININT1
        return this.#u8()
      case 0x4d: // BININT2
        return this.#u8() + 256 * this.#u8()
      case 0x4a: // BININT
        return this.#u32() | 0
      case 0x68: // BINGET
        return this.#remembered(this.#u8())
      case 0x6a: // LONG_BINGET
        return this.#remembered(this.#u32())
      case 0x7d: // EMPTY_DICT
        return { kind: 'dict', entries: [] }
      case 0x28: // MARK
        return MARK
      case 0x29: // EMPTY_TUPLE
        return EMPTY_TUPLE
      case 0x63: // GLOBAL
        return this.#class(this.#line(), this.#line())
      case 0x93: // STACK_GLOBAL
        return this.#stackGlobal()
      case 0x81: // NEWOBJ
        return this.#newObject()
      default:
        throw this.#bad(`the opcode ${this.#opcodeName()} has no place in a tokenizer.pkl`)
    }
  }

  #setItemsToMark(): void {
    const mark = this.#stack.lastIndexOf(MARK)
    if (mark < 0) throw this.#bad('SETITEMS without a MARK')
    const count = this.#stack.length - mark - 1
    this.#stack.splice(mark, 1)
    this.#setItems(count)
  }

  /** Moves the `count` topmost values into the dictionary below them. */
  #setItems(count: number): void {
    const { length } = this.#stack
    const dict = this.#stack[length - count - 1]
    if (count % 2 !== 0 || !isKind(dict, 'dict'))
      throw this.#bad(`${this.#opcodeName()} without a dictionary and pairs`)
    for (let k = length - count; k < length; k++) {
      const value = this.#stack[k]!
      if (value === MARK) throw this.#bad(`${this.#opcodeName()} across a MARK`)
      dict.entries.push(value)
    }
    this.#stack.length = length - count
  }

  #stackGlobal(): Value {
    const name = this.#pop()
    const module = this.#pop()
    if (typeof name !== 'string' || typeof module !== 'string')
      throw this.#bad('STACK_GLOBAL without two strings')
    return this.#class(module, name)
  }

  #class(module: string, name: string): Value {
    if (name === 'Encoding' && (module === 'tiktoken.core' || module === 'tiktoken')) return ENCODING_CLASS
    const found = JSON.stringify(`${module}.${name}`.slice(0, 100))
    throw this.#bad(`the pickle refers to ${found}, and only "tiktoken.core.Encoding" is allowed`)
  }

  #newObject(): Value {
    const args = this.#pop()
    const type = this.#pop()
    if (args !== EMPTY_TUPLE || type !== ENCODING_CLASS)
      throw this.#bad('NEWOBJ of something else than an Encoding')
    return { kind: 'encoding', state: undefined }
  }

  #build(): void {
    const state = this.#pop()
    const object = this.#top()
    if (!isKind(object, 'encoding') || object.state !== undefined)
      throw this.#bad('BUILD without a new Encoding')
    object.state = state
  }

  #top(): Value {
    const value = this.#stack.at(-1)
    if (value === undefined || value === MARK)
      throw this.#bad(`${this.#opcodeName()} with nothing on the stack`)
    return value
  }

  #pop(): Value {
    const value = this.#top()
    this.#stack.length--
    return value
  }

  #remembered(index: number): Value {
    const value = this.#memo.get(index)
    if (value === undefined) throw this.#bad(`${this.#opcodeName()} of ${index}, which was never stored`)
    return value
  }

  #u8(): number {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) throw this.#cut('the pickle')
    this.#at++
    return byte
  }

  #u32(): number {
    if (this.#at + 4 > this.#bytes.length) throw this.#cut('the pickle')
    this.#at += 4
    return this.#view.getUint32(this.#at - 4, true)
  }

  /** A 64-bit length; what a double cannot hold exactly is past any file's end anyway. */
  #u64(): number {
    const low = this.#u32()
    return low + 4294967296 * this.#u32()
  }

  #take(length: number, what: string): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw this.#cut(what)
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  #text(length: number): string {
    return this.#decode(this.#take(length, 'a string'))
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at)
    if (end < 0) throw this.#cut('a class name')
    const line = this.#decode(this.#bytes.subarray(this.#at, end))
    this.#at = end + 1
    return line
  }

  #decode(bytes: Uint8Array): string {
    try {
      return utf8.decode(bytes)
    } catch {
      throw this.#bad('a string in the pickle is not UTF-8')
    }
  }

  #opcodeName(): string {
    const code = this.#bytes[this.#start]!
    return PICKLE_OPCODES.get(code) ?? `0x${code.toString(16).padStart(2, '0')}`
  }

  #cut(what: string): ShardmillError {
    return this.#bad(`${what} goes on past the end of the file; the file is cut short`)
  }

  #bad(why: string): ShardmillError {
    return new ShardmillError('BAD_TOKENIZER', `${why} (byte ${this.#start})`, {
      at: { file: this.#name },
      hint: HINT,
      details: { offset: this.#start },
    })
  }
}

function isKind<K extends 'dict' | 'encoding'>(
  value: Value | undefined,
  kind: K,
): value is Extract<Value, { kind: K }> {
  return typeof value === 'object' && !(value instanceof Uint8Array) && value.kind === kind
}

type Bad = (why: string) => ShardmillError

function fieldsOf(state: Dict, bad: Bad): Record<(typeof STATE_KEYS)[number], Value> {
  const fields = new Map<string, Value>()
  for (let k = 0; k < state.entries.length; k += 2) {
    const key = state.entries[k]!
    if (typeof key !== 'string' || !(STATE_KEYS as readonly string[]).includes(key) || fields.has(key)) {
      throw bad(`the Encoding’s state has a key that is unknown or there twice: ${describe(key)}`)
    }
    fields.set(key, state.entries[k + 1]!)
  }
  for (const key of STATE_KEYS) if (!fields.has(key)) throw bad(`the Encoding’s state lacks ${key}`)
  return Object.fromEntries(fields) as Record<(typeof STATE_KEYS)[number], Value>
}

function pairsOf(value: Value, field: string, bad: Bad): [Value, number][] {
  if (!isKind(value, 'dict')) throw bad(`the Encoding’s ${field} is not a dictionary`)
  const pairs: [Value, number][] = []
  for (let k = 0; k < value.entries.length; k += 2) {
    const id = value.entries[k + 1]!
    if (typeof id !== 'number') throw bad(`a value of ${field} is not an integer`)
    pairs.push([value.entries[k]!, id])
  }
  return pairs
}

function describe(value: Value): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100))
  if (typeof value === 'number') return String(value)
  return value instanceof Uint8Array ? 'bytes' : value.kind
}
