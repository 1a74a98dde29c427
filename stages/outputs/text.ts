/** Lines of text, of tokens that are bytes: what a template wrote, as it is. There is no mask in it. */
import { ShardmillError } from '../../errors/index.ts'
import { conversationsOf, PieceFiller } from './conversation-rows.ts'
import { type ByteFile, defineOutput, verifyError } from './define-output.ts'
import { ownNames } from './own-names.ts'

const readBytes = 1 << 20
const newline = 0x0a

export const text = defineOutput({
  name: 'text',
  version: 1,
  about: 'The text itself, a line a conversation: for tokenizer bytes and template user_assistant',
  hasDtype: false,
  template: 'user_assistant',
  cut: () => 'conversations',
  ...ownNames,
  files: [{ role: 'text', suffix: '.jsonl' }],
  async write(content, files) {
    for (const { tokens, mask } of conversationsOf(content)) {
      const line = Uint8Array.from(tokens)
      if (tokens.some((id) => id > 255) || mask.includes(0))
        throw new TypeError('output text takes lines of tokenizer bytes')
      if (line.indexOf(newline) !== line.length - 1) throw cutLine(line)
      await files['text']!.write(line)
    }
  },
  async open(files, { dtype }) {
    const file = files['text']!
    async function* pieces() {
      const filler = new PieceFiller(dtype)
      for await (const line of linesOf(file)) {
        const into = filler.add(line.length)
        into.ids.set(line)
        into.mask.fill(1)
        if (filler.full) yield filler.take()
      }
      if (!filler.empty) yield filler.take()
    }
    return { pieces }
  },
})

function cutLine(line: Uint8Array): ShardmillError {
  const shown = Buffer.from(line.subarray(0, 60)).toString('latin1')
  return new ShardmillError(
    'RECIPE',
    `a line of text was cut at maxSeqLen (${line.length} bytes): ${shown}…`,
    {
      hint: 'Raise maxSeqLen, or leave such rows out with `tooLong: drop`: half a line is no JSON.',
    },
  )
}

/** Each with its newline. */
async function* linesOf(file: ByteFile): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array(0)
  for (let at = 0; at < file.size; at += readBytes) {
    const bytes = Buffer.concat([rest, await file.read(at, Math.min(readBytes, file.size - at))])
    let from = 0
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, from)) {
      yield bytes.subarray(from, end + 1)
      from = end + 1
    }
    rest = bytes.subarray(from)
  }
  if (rest.length > 0) throw verifyError(file.name, 'ends in the middle of a line')
}
