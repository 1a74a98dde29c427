/**
 * Fresh text, never the same twice: words drawn by Zipf's law from a real word list, with the rare words, names,
 * numbers, punctuation, markdown, code, mathematics, accents, CJK and emoji that chat data has. Its pieces behave for
 * a tokenizer as real text's do; it makes no sense.
 */
import type { Random } from './random.ts'
import type { Words } from './words.ts'

const zipfBits = 18
const space = 0x20
const newline = 0x0a

const openers = [
  'Sure! ',
  'Of course. ',
  'Here is ',
  'I think ',
  "Let's ",
  'You can ',
  'To do this, ',
  "It's ",
  'Yes, ',
  'In general, ',
]
const endings = ['.', '.', '.', '.', '.', '.', '.', '?', '!', ':', '...', ';']
const contractions = ["'s", "'t", "n't", "'re", "'ll", "'ve", "'d", "'m"]
const syllables = [
  'ka',
  'ren',
  'zo',
  'mi',
  'tal',
  'vor',
  'quin',
  'el',
  'sha',
  'bru',
  'dor',
  'ny',
  'xi',
  'gar',
  'lo',
  'then',
  'wu',
  'pra',
  'ost',
  'ix',
]
const quotes = ['""', '()', '**', '``', "''"]
const accents = ['é', 'è', 'ü', 'ñ', 'ç', 'ø', 'ß', 'ó', 'ā', 'ł']
const emoji = ['😀', '👍', '🎉', '🚀', '❤️', '🤔', '✅', '👩‍💻', '🌍', '🔥']
const operators = [' + ', ' - ', ' * ', ' / ', ' == ', ' and ', ' % ', ' >= ']

/** Writes text into one growing buffer; `bytes[0, length)` is what was written since `clear`. */
export class TextSampler {
  bytes: Uint8Array = Buffer.alloc(1 << 22)
  length = 0
  private readonly random: Random
  private readonly words: Words
  private readonly zipf = new Uint32Array(1 << zipfBits)
  private readonly utf8 = new TextEncoder()

  constructor(words: Words, random: Random) {
    this.words = words
    this.random = random
    let total = 0
    for (let r = 0; r < words.common; r++) total += 1 / (r + 2.7)
    let rank = 0
    let sum = 1 / 2.7
    for (let i = 0; i < this.zipf.length; i++) {
      while (sum < (total * i) / this.zipf.length && rank < words.common - 1) sum += 1 / (++rank + 2.7)
      this.zipf[i] = rank
    }
  }

  clear(): void {
    this.length = 0
  }

  /** About `size` bytes of one message. */
  message(size: number): void {
    const { random } = this
    this.reserve(2 * size + 4096)
    const end = this.length + size
    const kind = random.below(100)
    if (kind < 62) this.prose(end)
    else if (kind < 80) this.markdown(end)
    else if (kind < 91) this.code(end)
    else if (kind < 96) this.maths(end)
    else if (kind < 98) this.chinese(end)
    else this.accented(end)
  }

  /** One line of prose of about `size` bytes, without a paragraph break. */
  line(size: number): void {
    this.reserve(2 * size + 4096)
    const end = this.length + size
    while (this.length < end) this.sentence()
    this.trim()
  }

  number(): string {
    const { random } = this
    const kind = random.below(6)
    if (kind === 0) return String(1900 + random.below(130))
    if (kind === 1) return (random.below(100_000) / 100).toFixed(2)
    if (kind === 2) return `$${random.below(9000) + 10}`
    if (kind === 3) return `${random.below(100)}%`
    return String(random.below(random.chance(0.3) ? 1_000_000 : 100))
  }

  string(text: string): void {
    this.reserve(3 * text.length)
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code > 127) {
        this.length += this.utf8.encodeInto(text.slice(i), this.bytes.subarray(this.length)).written
        return
      }
      this.bytes[this.length++] = code
    }
  }

  word(): void {
    this.copy(this.pick(), 0)
  }

  private prose(end: number): void {
    const { random } = this
    if (random.chance(0.3)) this.string(openers[random.below(openers.length)]!)
    while (this.length < end) {
      const sentences = 2 + random.below(5)
      for (let i = 0; i < sentences && this.length < end; i++) this.sentence()
      this.trim()
      if (this.length < end) this.string('\n\n')
    }
  }

  private sentence(): void {
    const { random, bytes } = this
    const count = 4 + random.below(20)
    for (let i = 0; i < count; i++) {
      const odd = random.below(256)
      if (odd < 28) this.again()
      else if (odd < 232) this.copy(this.pick(), i === 0 ? 32 : 0)
      else this.oddWord(odd)
      if (i < count - 1) {
        if (random.below(12) === 0) bytes[this.length++] = 0x2c
        bytes[this.length++] = space
      }
    }
    this.string(endings[random.below(endings.length)]!)
    bytes[this.length++] = space
  }

  /** Says again what was said shortly before, as people and models do. */
  private again(): void {
    const { bytes, random } = this
    let from = this.length - 1 - random.below(4000)
    if (from < 0) {
      this.copy(this.pick(), 0)
      return
    }
    while (bytes[from] !== space && from < this.length - 1) from++
    let end = Math.min(this.length, from + 10 + random.below(60))
    while (end < this.length && bytes[end]! < 0x80 && bytes[end] !== space) end++
    while (end < this.length && (bytes[end]! & 0xc0) === 0x80) end++
    for (let i = from + 1; i < end; i++) bytes[this.length++] = bytes[i]!
    while (this.length > 0 && bytes[this.length - 1] === space) this.length--
  }

  private oddWord(odd: number): void {
    const { random } = this
    if (odd < 236) {
      this.string(this.number())
    } else if (odd < 241) {
      this.copy(this.pick(), 0)
      this.string(contractions[random.below(contractions.length)]!)
    } else if (odd < 246) {
      this.copy(this.pick(), 32)
    } else if (odd < 249) {
      this.name()
    } else if (odd < 252) {
      const around = quotes[random.below(quotes.length)]!
      this.string(around[0]!)
      this.copy(this.pick(), 0)
      this.string(around[1]!)
    } else if (odd < 254) {
      this.copy(this.pick(), 0)
      this.string('-')
      this.copy(this.pick(), 0)
    } else if (odd === 254) {
      if (random.chance(0.1)) this.string(emoji[random.below(emoji.length)]!)
      else this.name()
    } else if (random.chance(0.8)) {
      this.copy(this.pick(), 32)
    } else {
      this.string(`https://www.${syllables[random.below(20)]}${syllables[random.below(20)]}.com/`)
      this.word()
    }
  }

  private name(): void {
    const { random } = this
    const at = this.length
    const parts = 2 + random.below(2)
    for (let i = 0; i < parts; i++) this.string(syllables[random.below(syllables.length)]!)
    this.bytes[at]! -= 32
  }

  private markdown(end: number): void {
    const { random } = this
    const numbered = random.chance(0.5)
    if (random.chance(0.5)) {
      this.string('## ')
      this.words_(3, 32)
      this.string('\n\n')
    }
    for (let n = 1; this.length < end; n++) {
      this.string(numbered ? `${n}. **` : '- **')
      this.words_(2, 32)
      this.string('**: ')
      this.sentence()
      this.trim()
      this.string('\n')
    }
    this.trim()
  }

  private code(end: number): void {
    const { random } = this
    const python = random.chance(0.6)
    this.sentence()
    this.string(python ? '\n\n```python\n' : '\n\n```js\n')
    while (this.length < end) {
      this.string(python ? 'def ' : 'function ')
      this.identifier(python)
      this.string('(')
      this.word()
      this.string(', ')
      this.word()
      this.string(python ? '):\n' : ') {\n')
      const lines = 1 + random.below(6)
      for (let i = 0; i < lines; i++) {
        const indent = random.chance(0.3) ? '        ' : '    '
        this.string(indent)
        const kind = random.below(4)
        if (kind === 0) {
          this.string(python ? '# ' : '// ')
          this.words_(5, 0)
        } else if (kind === 1) {
          this.string(python ? 'if ' : 'if (')
          this.identifier(python)
          this.string(operators[random.below(operators.length)]!)
          this.string(this.number())
          this.string(python ? ':' : ') {')
        } else {
          if (!python) this.string('const ')
          this.identifier(python)
          this.string(' = ')
          this.identifier(python)
          this.string(kind === 2 ? '[' : '(')
          this.word()
          this.string(operators[random.below(operators.length)]!)
          this.string(this.number())
          this.string(kind === 2 ? ']' : ')')
          if (!python) this.string(';')
        }
        this.string('\n')
      }
      this.string(python ? '    return ' : '  return ')
      this.identifier(python)
      this.string(python ? '\n\n' : ';\n}\n\n')
    }
    this.trim()
    this.string('\n```')
  }

  private identifier(snake: boolean): void {
    const count = 1 + this.random.below(3)
    for (let i = 0; i < count; i++) {
      if (i > 0 && snake) this.string('_')
      this.copy(this.pick(), i > 0 && !snake ? 32 : 0)
    }
  }

  private maths(end: number): void {
    const { random } = this
    const letter = () => 'abcfghkmnpqrtuvxyz'[random.below(18)]!
    while (this.length < end) {
      this.sentence()
      const [x, y] = [letter(), letter()]
      const [n, m] = [random.below(500), random.below(20)]
      const forms = [
        `$${x}^2 + ${n}${y} = ${m}$ `,
        `\\[\\frac{${n}}{${x}} \\cdot ${y}_{${m}} \\]\n`,
        `$\\sqrt{${n}${x}}$, `,
        `${n} + ${m} = ${n + m}. `,
        `\\boxed{${n}}\n`,
      ]
      this.string(forms[random.below(forms.length)]!)
    }
    this.trim()
  }

  private chinese(end: number): void {
    const { random } = this
    while (this.length < end) {
      const count = 5 + random.below(25)
      for (let i = 0; i < count; i++)
        this.codePoint(0x4e00 + Math.floor(20_000 * (random.u32() / 2 ** 32) ** 3))
      this.codePoint(random.chance(0.6) ? 0xff0c : 0x3002)
    }
  }

  private accented(end: number): void {
    const { random } = this
    while (this.length < end) {
      this.copy(this.pick(), 0)
      if (random.chance(0.4)) this.string(accents[random.below(accents.length)]!)
      this.bytes[this.length++] = space
    }
    this.trim()
  }

  private codePoint(code: number): void {
    this.bytes[this.length++] = 0xe0 | (code >> 12)
    this.bytes[this.length++] = 0x80 | ((code >> 6) & 63)
    this.bytes[this.length++] = 0x80 | (code & 63)
  }

  private words_(count: number, capital: 0 | 32): void {
    for (let i = 0; i < count; i++) {
      if (i > 0) this.bytes[this.length++] = space
      this.copy(this.pick(), capital)
    }
  }

  /** A word's number: 2 in 100 are rare ones. */
  private pick(): number {
    const draw = this.random.u32()
    if ((draw & 0xff) >= 5) return this.zipf[draw >>> (32 - zipfBits)]!
    const { common, count } = this.words
    const share = (draw >>> 8) / 2 ** 24
    return common + Math.floor((count - common) * share * share)
  }

  private copy(word: number, capital: 0 | 32): void {
    const { bytes: from, offsets } = this.words
    const { bytes } = this
    const end = offsets[word + 1]!
    let at = this.length
    let i = offsets[word]!
    bytes[at++] = from[i++]! - capital
    while (i < end) bytes[at++] = from[i++]!
    this.length = at
  }

  private trim(): void {
    while (
      this.length > 0 &&
      (this.bytes[this.length - 1] === space || this.bytes[this.length - 1] === newline)
    )
      this.length--
  }

  private reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return
    const next = Buffer.alloc(2 * (this.length + more))
    next.set(this.bytes.subarray(0, this.length))
    this.bytes = next
  }
}
