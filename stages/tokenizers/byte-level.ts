/** The characters that byte-level `tokenizer.json` files write for bytes: printable ones stand for themselves. */
const byteOf = new Map<string, number>()
let next = 0x100
for (let byte = 0; byte < 256; byte++) {
  const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
  byteOf.set(String.fromCharCode(printable ? byte : next++), byte)
}

/** The bytes that a token's text stands for; undefined when it has a character that stands for none. */
export function bytesOfToken(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) {
    const byte = byteOf.get(text[i]!)
    if (byte === undefined) return undefined
    bytes[i] = byte
  }
  return bytes
}
