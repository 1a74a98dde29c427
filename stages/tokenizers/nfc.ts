/**
 * NFC as Python's tokenizers package has it: its table of combining characters ends with Unicode 10, so characters
 * that came later (these, in hexadecimal) compose with nothing there, and whatever stands between them is normalized by
 * itself.
 */
const RANGES =
  '7fd 897-89f 8ca-8d3 9fe c3c d3b d3c eba 1715 1abf-1add 1ae0-1aeb 1df6-1dfa a82c 105c9 105e4 10d24-10d27 ' +
  '10d69-10d6d 10eab 10eac 10efa 10efb 10efd-10eff 10f46-10f50 10f82-10f85 11070 1133b 11383 11385 1138e ' +
  '11391 113c5 113c7 113c8 113ce-113d0 1145e 11839 1183a 11938 1193d 1193e 11943 119e0 11a34 11a47 11a99 ' +
  '11d42 11d44 11d45 11d97 11f41 11f42 16121-16128 1612f 16d68-16d6a 16ff0 16ff1 1e08f 1e130-1e136 1e2ae ' +
  '1e2ec-1e2ef 1e4ec-1e4ef 1e5ee 1e5ef 1e6e3 1e6e6 1e6ee 1e6ef 1e6f5'

const LATER = new RegExp(`([${RANGES.replace(/[0-9a-f]+/g, '\\u{$&}').replaceAll(' ', '')}])`, 'u')

/** The text in NFC. */
export function toNfc(text: string): string {
  if (!LATER.test(text)) return text.normalize('NFC')
  return text
    .split(LATER)
    .map((part, i) => (i % 2 === 1 ? part : part.normalize('NFC')))
    .join('')
}

/** True when the UTF-8 bytes [start, end) are in NFC for certain: nothing below U+0300 composes with anything. */
export function isPlain(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at]! >= 0xcc) return false
  return true
}
