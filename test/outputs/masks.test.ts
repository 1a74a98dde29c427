/** Folders whose masks were tampered with, every digest adjusted: the template's contract finds it, from ids alone. */
import { createHash } from 'node:crypto'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verifyFolder } from '../../output/verify-folder.ts'
import { templates } from '../../stages/templates/index.ts'
import { run } from '../e2e/cli.ts'
import { Bench } from './support.ts'

const bench = new Bench()
const signal = new AbortController().signal
afterAll(() => bench.close())

interface File {
  path: string
  sha256: string
  role: string
  tokens: number
}
interface Folder {
  readonly dir: string
  readonly manifest: { files: File[]; specials: Record<string, number>; digest: string }
}

let copies = 0
function copyOf(dir: string): Folder {
  const copy = `${dir}-${copies++}`
  cpSync(dir, copy, { recursive: true })
  return { dir: copy, manifest: JSON.parse(readFileSync(join(copy, 'manifest.json'), 'utf8')) }
}

/** Changes the values of a file that are its last ones, and makes every digest right again. */
function tamper<T extends Uint8Array | Uint16Array>(
  { dir, manifest }: Folder,
  file: File,
  values: (bytes: Buffer) => T,
  change: (values: T) => void,
): void {
  const bytes = readFileSync(join(dir, file.path))
  change(values(bytes))
  writeFileSync(join(dir, file.path), bytes)
  file.sha256 = createHash('sha256').update(bytes).digest('hex')
  const text = `${JSON.stringify({ ...manifest, digest: '0'.repeat(64) }, null, 1)}\n`
  const digest = createHash('sha256').update(text).digest('hex')
  writeFileSync(join(dir, 'manifest.json'), text.replace(/0{64}"\n}\n$/, `${digest}"\n}\n`))
}

const uint16s = (count: number) => (bytes: Buffer) =>
  new Uint16Array(bytes.buffer, bytes.byteOffset + bytes.length - 2 * count, count)

const check = async (dir: string) => (await verifyFolder(dir, { signal })).problems.map(({ why }) => why)

describe('template nanochat, a run of tokens', () => {
  let out: string
  let ids: Uint16Array
  let shard: number
  beforeAll(async () => {
    ;({ out } = await bench.build('runs', 'output: { format: llmc-bin }', 512))
  }, 60_000)

  /** A shard of train in which `at` finds a token. */
  function find({ dir, manifest }: Folder, where: (ids: Uint16Array, of: Record<string, number>) => number) {
    const main = manifest.files.filter(({ role }) => role === 'tokens')
    for (const [i, file] of main.entries()) {
      const values = uint16s(file.tokens)(readFileSync(join(dir, file.path)))
      const place = where(values, manifest.specials)
      if (place >= 0) {
        ids = values
        shard = i
        return place
      }
    }
    throw new Error('no such token')
  }

  test('as it was built', async () => {
    const report = await verifyFolder(out, { signal })
    expect(report).toMatchObject({ problems: [], masks: 'nanochat' })
  })

  const at = (name: string, offset: number) => (values: Uint16Array, of: Record<string, number>) => {
    const place = values.indexOf(of[name]!, values.indexOf(of['<|bos|>']!))
    return place < 0 || place + offset >= values.length ? -1 : place + offset
  }
  const cases: [string, ReturnType<typeof at>, RegExp][] = [
    ['BOS trained', at('<|bos|>', 0), /<\|bos\|>.* is trained on, but template nanochat does not train/],
    ['a user’s text trained', at('<|user_start|>', 1), /id \d+.* is trained on/],
    ['a header trained', at('<|assistant_start|>', 0), /<\|assistant_start\|>.* is trained on/],
    ['an answer untrained', at('<|assistant_start|>', 1), /id \d+.* is not trained on, but .* trains on/],
    ['an end token untrained', at('<|assistant_end|>', 0), /<\|assistant_end\|>.* is not trained on/],
    ['a call untrained', at('<|python_start|>', 0), /<\|python_start\|>.* is not trained on/],
    ['tool output trained', at('<|output_start|>', 1), /is trained on, but .* tool output/],
  ]
  test.each(cases)('%s', async (_what, where, says) => {
    const folder = copyOf(out)
    const place = find(folder, where)
    const mask = folder.manifest.files.filter(({ role }) => role === 'mask')[shard]!
    tamper(folder, mask, uint16s(ids.length), (values) => {
      values[place] = 1 - values[place]!
    })
    const problems = await check(folder.dir)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(says)
    expect(problems[0]).toMatch(new RegExp(`^token ${place} .*, token \\d+ of conversation \\d+,`))
  })

  test('a turn that ends as another would, and one that does not end', async () => {
    for (const [name, other, says] of [
      [
        '<|user_end|>',
        '<|output_end|>',
        /<\|output_end\|>.* stands where template nanochat writes no such token/,
      ],
      ['<|user_start|>', '<|bos|>', /^conversation \d+ ends|stands where|<\|bos\|>/],
    ] as const) {
      const folder = copyOf(out)
      const place = find(folder, at(name, 0))
      const main = folder.manifest.files.filter(({ role }) => role === 'tokens')[shard]!
      tamper(folder, main, uint16s(ids.length), (values) => {
        values[place] = folder.manifest.specials[other]!
      })
      const problems = await check(folder.dir)
      expect(problems).toHaveLength(1)
      expect(problems[0]).toMatch(says)
    }
  })
})

test('rows of whole conversations: which token of which conversation, and exit code 3', async () => {
  const { out } = await bench.build('rows', 'output: { format: packed }')
  expect(await check(out)).toEqual([])
  const folder = copyOf(out)
  const mask = folder.manifest.files.find(({ role }) => role === 'mask')!
  // A .npy's head has 128 bytes.
  tamper(
    folder,
    mask,
    (bytes) => bytes.subarray(128),
    (values) => {
      values[1] = 1
    },
  )
  expect(await check(folder.dir)).toEqual([
    'token 1 (<|user_start|>), token 1 of conversation 1, is trained on, but template nanochat does not train on BOS, user turns, role markers, or tool output with its markers',
  ])
  const ran = await run(['verify', folder.dir])
  expect(ran.stderr).toContain('token 1 of conversation 1, is trained on')
  expect(ran.code).toBe(3)
})

describe.each([false, true])('template chatml, maskAssistantHeader: %s', (masked) => {
  const chatml = (text: string) =>
    text
      .replace(
        'tokenizer: { kind: nanochat, path: tokenizer.pkl }',
        'tokenizer: { kind: tiktoken, encoding: gpt2 }',
      )
      .replace('template: nanochat', `template: chatml\nmaskAssistantHeader: ${masked}`)
      .replace(/ *- \{ task: gsm8k.*\n/g, '')

  test.each(['llmc-bin', 'packed'])('%s', async (format) => {
    const { out } = await bench.build(
      `chatml-${format}-${masked}`,
      `output: { format: ${format} }`,
      512,
      chatml,
    )
    expect(await verifyFolder(out, { signal })).toMatchObject({ problems: [], masks: 'chatml' })
    const folder = copyOf(out)
    const main = folder.manifest.files.find(({ role }) => role === 'tokens')!
    const mask = folder.manifest.files.find(({ role }) => role === 'mask')!
    const bytes = readFileSync(join(folder.dir, main.path))
    const head = format === 'packed' ? 128 : 1024
    const ids = new Uint16Array(bytes.buffer, bytes.byteOffset + head, (bytes.length - head) / 2)
    const end = ids.indexOf(folder.manifest.specials['<|im_end|>']!)
    // Within the first turn, a user's or the system's.
    tamper(
      folder,
      mask,
      (all) => (format === 'packed' ? all.subarray(head) : uint16s(ids.length)(all)),
      (values) => {
        expect(values[end - 1]).toBe(0)
        values[end - 1] = 1
      },
    )
    const problems = await check(folder.dir)
    expect(problems).toHaveLength(1)
    // At the head of a run of tokens any state is possible: then the token after it is the one that cannot be.
    expect(problems[0]).toMatch(/^token \d+ .* is (?:not )?trained on, but template chatml/)
  })
})

test('every template says what it trains on, and what not', () => {
  for (const { contract } of templates) {
    expect(contract.trained).not.toBe('')
    expect(contract.untrained).not.toBe('')
  }
})
