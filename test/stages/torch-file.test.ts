import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { PickleWriter } from '../../stages/outputs/pickle-writer.ts'
import { writeTorchFile } from '../../stages/outputs/torch-file.ts'
import { type ProblemFile, vectors } from './chat-eval-vectors.ts'

async function collected(write: (sink: (bytes: Uint8Array) => Promise<void>) => Promise<void>) {
  const chunks: Buffer[] = []
  await write(async (bytes) => {
    chunks.push(Buffer.from(bytes))
  })
  return Buffer.concat(chunks)
}

function torchFileOf(name: string, file: ProblemFile): Promise<Buffer> {
  return collected((sink) =>
    writeTorchFile(name, sink, (out) =>
      out.dict([
        ['task_type', () => out.text(file.task_type)],
        ['label', () => out.text(file.label)],
        ['num_examples', () => out.int(file.num_examples)],
        ['random_baseline', () => out.float(file.random_baseline)],
        [
          'sequences',
          () =>
            out.list(file.sequences.length, (i) => {
              const problem = file.sequences[i]!
              return out.dict([
                ['tokens', () => out.ints(problem.tokens)],
                ['answer_pos', () => out.int(problem.answer_pos)],
                ['letter_token_ids', () => out.ints(problem.letter_token_ids)],
                ['gold', () => out.int(problem.gold)],
                ['example_idx', () => out.int(problem.example_idx)],
              ])
            }),
        ],
      ]),
    ),
  )
}

describe.each(vectors.runs)('torch.save, max_seq_len $max_seq_len', ({ files }) => {
  const torchFiles = Object.entries(files).filter(([name]) => name.endsWith('.pt'))
  test.each(torchFiles)('%s, byte for byte', async (name, { content, hex, sha256 }) => {
    const bytes = await torchFileOf(name.slice(0, -3), content!)
    expect(bytes.toString('hex')).toBe(hex)
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(sha256)
  })
})

function pickleOf(write: (out: PickleWriter) => void | Promise<void>): Promise<string> {
  return collected(async (sink) => {
    const out = new PickleWriter(sink)
    await write(out)
    await out.end()
  }).then((bytes) => bytes.toString('hex'))
}

// Each as Python's pickle.dumps(value, protocol=2).hex() gives it.
test.each<[string, (out: PickleWriter) => void | Promise<void>, string]>([
  ['[]', (out) => out.ints([]), '80025d71002e'],
  ['[1]', (out) => out.ints([1]), '80025d71004b01612e'],
  [
    'ints of every width',
    (out) => out.ints([255, 256, 65535, 65536, -1, -(2 ** 31), 2 ** 31 - 1]),
    '80025d7100284bff4d00014dffff4a000001004affffffff4a000000804affffff7f652e',
  ],
  ['{}', (out) => out.dict([]), '80027d71002e'],
  [
    '(1.5, None, True, False)',
    (out) => {
      out.mark()
      out.float(1.5)
      out.none()
      out.bool(true)
      out.bool(false)
      out.tuple()
    },
    '800228473ff80000000000004e88897471002e',
  ],
  [
    'a pair, empty tuple inside',
    (out) => {
      out.tuple(0)
      out.int(2)
      out.tuple(2)
    },
    '8002294b028671002e',
  ],
  ['a text outside ASCII', (out) => out.text('é—🙂'), '80025809000000c3a9e28094f09f998271002e'],
])('%s, as Python pickles it', async (_, write, hex) => {
  expect(await pickleOf(write)).toBe(hex)
})

test('1001 items are a run of 1000 and a run of one; 300 texts outgrow a byte of memo', async () => {
  const items = await pickleOf((out) => out.ints(new Uint8Array(1001)))
  expect(items).toBe(`80025d710028${'4b00'.repeat(1000)}65284b00652e`)
  const texts = await pickleOf((out) => out.list(300, () => out.text('a')))
  expect(texts.endsWith('580100000061722c010000652e')).toBe(true)
})

test('a pickle longer than the buffer is handed out in pieces, the same bytes', async () => {
  const sizes: number[] = []
  const out = new PickleWriter(async (bytes) => {
    sizes.push(bytes.length)
  })
  await out.list(500, () => out.ints(new Uint32Array(1000).fill(70_000)))
  await out.end()
  expect(Math.max(...sizes)).toBeLessThan(8 << 20)
  expect(sizes.length).toBeGreaterThan(1)
  // A list: ] put; its 1000 ints of 5 bytes between ( and e.
  const lists = Array.from({ length: 500 }, (_, i) => 1 + (i + 1 < 256 ? 2 : 5) + 2 + 5000)
  expect(sizes.reduce((a, b) => a + b)).toBe(2 + 3 + 2 + lists.reduce((a, b) => a + b) + 1)
})

test('an integer of more than 32 bits is refused', async () => {
  await expect(pickleOf((out) => out.int(2 ** 31))).rejects.toThrow(RangeError)
})
