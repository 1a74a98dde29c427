/**
 * The split patterns of `tokenizer.json` are Oniguruma's (Ruby syntax, Unicode 16). What they use in practice is
 * translated into JavaScript's regular expressions, with every class spelt out, so that neither the engines'
 * differences nor Node's version of Unicode can move a border. Anything beyond that is refused.
 */
import { KIND, LETTER, NUMBER, pointClasses } from '../../bpe/classes.ts'
import { UNASSIGNED } from './unassigned.ts'

/** Why a pattern cannot be translated: what in it, and where. */
export class PatternError extends Error {}

const WHITE =
  '\\u{9}-\\u{d}\\u{20}\\u{85}\\u{a0}\\u{1680}\\u{2000}-\\u{200a}\\u{2028}\\u{2029}\\u{202f}\\u{205f}\\u{3000}'
const CATEGORIES = /^(?:L[ultmo]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?)$/
const ESCAPES: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 }
/** What several characters fold to together in Oniguruma (ß to ss, ﬁ to fi, …): not to be had here. */
const FOLDED_TOGETHER = /ss|st|f[fil]|[aijhtwy]\u02be|\u02bcn/i

/**
 * The same pattern for JavaScript's `v` flag.
 * @throws PatternError naming what is not supported.
 */
export function translatePattern(pattern: string): string {
  return new Translator(pattern).whole()
}

/** What matches `\p{N}`, or one character of Rust's `char::is_numeric`, which is a version of Unicode ahead. */
export function numberClass(ahead: boolean): string {
  return `[${category('N')}${ahead ? '\\u{11de0}-\\u{11de9}\\u{16ff4}-\\u{16ff6}' : ''}]`
}

class Translator {
  readonly #text: readonly string[]
  #at = 0
  #groups = 0

  constructor(pattern: string) {
    this.#text = [...pattern]
  }

  whole(): string {
    const out = this.#alternatives(false)
    if (this.#at < this.#text.length) throw this.#no('an unmatched )')
    return out
  }

  #alternatives(fold: boolean): string {
    let out = ''
    for (;;) {
      out += this.#sequence(fold)
      if (this.#text[this.#at] !== '|') return out
      out += '|'
      this.#at++
    }
  }

  #sequence(fold: boolean): string {
    let out = ''
    let letters = ''
    while (this.#at < this.#text.length && this.#text[this.#at] !== '|' && this.#text[this.#at] !== ')') {
      const char = this.#text[this.#at]!
      letters += char
      out += this.#quantified(this.#atom(fold))
    }
    if (fold && FOLDED_TOGETHER.test(letters)) throw this.#no(`(?i:${letters})`)
    return out
  }

  #atom(fold: boolean): string {
    const char = this.#text[this.#at++]!
    switch (char) {
      case '(':
        return this.#group(fold)
      case '[':
        return this.#class(fold)
      case '\\':
        return this.#escape(fold)
      case '.':
        return '[^\\u{a}]'
      case '^':
      case '$':
      case '*':
      case '+':
      case '?':
      case '{':
        throw this.#no(char)
      default:
        return this.#literal(char, fold)
    }
  }

  #group(fold: boolean): string {
    const rest = this.#text.slice(this.#at, this.#at + 3).join('')
    let open = '(?:'
    let inside = fold
    if (rest.startsWith('?:')) this.#at += 2
    else if (rest.startsWith('?!') || rest.startsWith('?=')) {
      open = `(${rest.slice(0, 2)}`
      this.#at += 2
    } else if (rest === '?i:') {
      inside = true
      this.#at += 3
    } else if (rest.startsWith('?')) throw this.#no(`the group (${rest}`)
    const body = this.#alternatives(inside)
    if (this.#text[this.#at++] !== ')') throw this.#no('a ( without its )')
    return `${open}${body})`
  }

  #class(fold: boolean): string {
    let out = '['
    if (this.#text[this.#at] === '^') {
      out += '^'
      this.#at++
    }
    for (let first = true; ; first = false) {
      const char = this.#text[this.#at++]
      if (char === undefined) throw this.#no('a [ without its ]')
      if (char === ']' && !first) return `${out}]`
      if (char === ']' || char === '[' || (char === '&' && this.#text[this.#at] === '&')) {
        throw this.#no(`${char} in a class`)
      }
      const ranged = this.#text[this.#at] === '-' && this.#text[this.#at + 1] !== ']'
      if (fold && (out[1] === '^' || char === '\\' || ranged))
        throw this.#no('a class of more than characters in (?i:…)')
      const low = char === '\\' ? this.#escape(false) : this.#literal(char, fold)
      if (this.#text[this.#at] !== '-' || this.#text[this.#at + 1] === ']') {
        out += low
        continue
      }
      this.#at++
      const next = this.#text[this.#at++]
      const high = next === '\\' ? this.#escape(false) : code(next ?? '')
      if (next === undefined || next === '[' || !isCode(low) || !isCode(high)) throw this.#no('- in a class')
      out += `${low}-${high}`
    }
  }

  #escape(fold: boolean): string {
    const char = this.#text[this.#at++]
    if (char === undefined) throw this.#no('a \\ at the end')
    if (char === 's') return `[${WHITE}]`
    if (char === 'S') return `[^${WHITE}]`
    if (char === 'd') return category('Nd')
    if (char === 'D') return `[^${category('Nd')}]`
    if (char === 'p' || char === 'P') {
      const close = this.#text.indexOf('}', this.#at)
      const name = this.#text.slice(this.#at + 1, close).join('')
      if (this.#text[this.#at] !== '{' || close < 0 || !CATEGORIES.test(name))
        throw this.#no(`\\${char}{${name}}`)
      this.#at = close + 1
      return char === 'p' ? category(name) : `[^${category(name)}]`
    }
    const known = Object.hasOwn(ESCAPES, char) ? ESCAPES[char] : undefined
    if (known !== undefined) return `\\u{${known.toString(16)}}`
    if (/[A-Za-z0-9]/.test(char)) throw this.#no(`\\${char}`)
    return this.#literal(char, fold)
  }

  #literal(char: string, fold: boolean): string {
    if (!fold || /[^\p{L}]/u.test(char)) return code(char)
    if (!/[A-Za-z]/.test(char)) throw this.#no(`${char} in (?i:…)`)
    const small = char.toLowerCase()
    const more = small === 's' ? '\\u{17f}' : small === 'k' ? '\\u{212a}' : ''
    return `[${code(small)}${code(char.toUpperCase())}${more}]`
  }

  #quantified(atom: string): string {
    const char = this.#text[this.#at]
    let times: string
    if (char === '?' || char === '*' || char === '+') {
      times = char
      this.#at++
    } else if (char === '{') {
      const close = this.#text.indexOf('}', this.#at)
      times = this.#text.slice(this.#at, close + 1).join('')
      if (!/^\{\d{1,4}(?:,\d{0,4})?\}$/.test(times)) throw this.#no('{')
      this.#at = close + 1
      if (/[?+*{]/.test(this.#text[this.#at] ?? '')) throw this.#no(`${times}${this.#text[this.#at]}`)
      return `${atom}${times}`
    } else return atom
    const mark = this.#text[this.#at]
    if (mark === '*' || mark === '{') throw this.#no(`${times}${mark}`)
    if (mark !== '+' && mark !== '?') return `${atom}${times}`
    this.#at++
    if (/[?+*{]/.test(this.#text[this.#at] ?? '')) throw this.#no(`${times}${mark}${this.#text[this.#at]}`)
    if (mark === '?') return `${atom}${times}?`
    // A look-ahead is never entered again: that makes it possessive.
    const name = `g${this.#groups++}`
    return `(?=(?<${name}>${atom}${times}))\\k<${name}>`
  }

  #no(what: string): PatternError {
    return new PatternError(`${what} (at character ${this.#at})`)
  }
}

function code(char: string): string {
  return `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`
}

function isCode(text: string): boolean {
  return /^\\u\{[0-9a-f]+\}$/.test(text)
}

const spelt = new Map<string, string>()

/** A general category as of Unicode 16. Letters and numbers come from the tables of bpe/. */
function category(name: string): string {
  const known = spelt.get(name)
  if (known !== undefined) return known
  const wanted = name === 'L' ? LETTER : name === 'N' ? NUMBER : undefined
  const points = pointClasses()
  const host = wanted === undefined ? new RegExp(`\\p{${name}}`, 'u') : undefined
  const missing = unassigned()
  const isIn = (point: number): boolean => {
    if (host === undefined) return (points[point]! & KIND) === wanted
    // A lower-case letter until Unicode 16.
    if (point === 0x295 && (name === 'Ll' || name === 'Lo')) return name === 'Ll'
    return missing[point] === 0 && host.test(String.fromCodePoint(point))
  }
  let out = ''
  for (let point = 0; point < 0x110000; point++) {
    if (!isIn(point)) continue
    const from = point
    while (point + 1 < 0x110000 && isIn(point + 1)) point++
    out += `\\u{${from.toString(16)}}${point === from ? '' : `-\\u{${point.toString(16)}}`}`
  }
  const text = `[${out}]`
  spelt.set(name, text)
  return text
}

let cached: Uint8Array | undefined

function unassigned(): Uint8Array {
  if (cached !== undefined) return cached
  cached = new Uint8Array(0x110000)
  let at = 0
  for (const [i, run] of UNASSIGNED.split(' ').entries()) {
    const end = at + Number.parseInt(run, 36)
    if (i % 2 === 1) cached.fill(1, at, end)
    at = end
  }
  return cached
}
