/** Strings at which byte scanners, Unicode tables and piece tables have gone wrong before. */
export const ADVERSARIAL: readonly string[] = [
  '',
  ' ',
  "'",
  'a',
  // \s: U+0085 is one, U+FEFF, U+200B, U+180E and U+2060 are none
  'a\u0085b',
  'a \ufeff b',
  '\ufeffa',
  '\u2028a',
  '\u00a0\u00a0b',
  '\u3000\u3000a',
  'a\u200bb \u180ec \u2060d',
  // contractions: U+017F folds to s, case matters to gpt2 only
  "'ſa",
  "a'ſ",
  "I'M DON'T We'LL they'RE'S",
  "'lL",
  "'save",
  "''s",
  "中's",
  " 's",
  "x'll'LL've're'm'd't",
  "o'clock 'tis 'Twas rock'n'roll",
  "'l 'v 'r 'le 'vl",
  "日本'Ve",
  "HELLO's WORLD'S",
  // lone surrogates
  'a\ud800\ud800b',
  '\ude00\ud83d',
  "'\ud800",
  // zero bytes: keys are filled up with zeros
  '\0a\0b',
  '\0',
  '\0\0\0\0',
  'a\0',
  '!\0',
  '!\0\0',
  // combining marks
  'e\u0301te\u0301',
  ' \u0301a',
  '\u0301ABC',
  '!\u0301ABC',
  '!!\u0301ABC',
  'ABC\u0301DEF',
  '\u0301\u0301',
  'हिन्दी में लिखा',
  // case in o200k
  '中ABC',
  'ABCʰDEF',
  'ǅ',
  'ǅabc Xǅy',
  'camelCaseWord XMLHttpRequest iPhone',
  'ÀÉßàé ÀÀÀ',
  "ABC'd ABCʰ'd",
  // slashes in o200k
  '!/\n/',
  'a/b/c//',
  '//\r\n/',
  // whitespace
  '\n   a',
  'a \n ',
  ' \n  ',
  'a\n  ',
  '\r\r\n\n',
  '...\r\n a',
  'a \t \r\n \t b',
  '\t1',
  '\ta',
  '  a',
  '  1',
  '  !',
  ' \u00a0',
  '\n\n\n',
  '\n \n \n x',
  '   \u3000\n\u3000 y',
  '\v\f\u001c',
  // numbers
  '1234567890',
  '١٢٣٤٥ ½²Ⅷ',
  '1٢3٤',
  'a1b22c333d4444',
  // long pieces, on both sides of the limits of the tables
  ...[3, 4, 5, 7, 8, 9, 11, 12, 13, 23, 24, 25, 47, 48, 49, 200].flatMap((n) => [
    'q'.repeat(n),
    ` ${'xy'.repeat(n)}`,
    '-'.repeat(n),
    'é'.repeat(n),
    '中文'.repeat(n),
    ' '.repeat(n),
    `${'\n'.repeat(n)}a`,
    'Zaphod'.repeat(n),
  ]),
  // the Unicode version: letters and numbers of Unicode 17 only, a change of case class in it
  '\u088f \u0c5c \ua7ce \u{10940} \u{33479}',
  '\u{11de0}\u{11de9} \u{16ff4}',
  'Aʕb AʕB',
  '😀👩‍👩‍👧‍👦 🏳️‍🌈!',
  'مرحبا بالعالم שלום привет Γειά',
]

/** A small generator with a visible seed (xorshift and multiply); good enough to draw test strings. */
export function generator(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x9e3779b9) | 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 0x100000000
  }
}

const FRAGMENTS = [
  ...["'", "'s", "'S", "'ſ", "'ll", "'LL", "'vE", "'re", "'D", "'m", 'ſ', 'K'],
  ...[
    ' ',
    '  ',
    '\n',
    '\r\n',
    '\r',
    '\t',
    '\v',
    '\f',
    '\u0085',
    '\u00a0',
    '\u3000',
    '\u2028',
    '\ufeff',
    '\u200b',
  ],
  ...[
    'a',
    'b',
    'Z',
    'AB',
    'the',
    ' the',
    ' of',
    'ing',
    'Hello',
    'WORLD',
    ' don',
    'iPhone',
    'x',
    '_',
    'é',
    'É',
  ],
  ...[
    '0',
    '1',
    '12',
    '٣',
    '½',
    'Ⅷ',
    '!',
    '...',
    '/',
    '//',
    '-',
    '==',
    '{}',
    '(',
    '#',
    '"',
    '\\',
    '\0',
    '\x7f',
  ],
  ...[
    '中',
    '文字',
    '한국',
    'ひら',
    'ß',
    'ʰ',
    'ǅ',
    '\u0301',
    'ा',
    'क',
    '़',
    '\u180e',
    '🙂',
    '👨‍👩‍👧',
    '\ud800',
    '\udc00',
  ],
]

/** A string of fragments, some repeated, with a few code points from anywhere. */
export function randomText(random: () => number): string {
  const pick = (count: number) => Math.floor(random() * count)
  const count = 1 + pick(1 + pick(60))
  let text = ''
  for (let index = 0; index < count; index++) {
    const fragment = FRAGMENTS[pick(FRAGMENTS.length)]!
    const kind = random()
    if (kind < 0.04) text += String.fromCodePoint(pick(0x30000))
    else if (kind < 0.05) text += String.fromCodePoint(pick(0x110000))
    else if (kind < 0.1) text += fragment.repeat(1 + pick(30))
    else text += fragment
  }
  return text
}
