/** Source files: parquet that is damaged, empty, cut short or in another format, codecs, and what a split needs. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type HubServer, startHubServer } from '../../hub/server/index.ts'
import {
  conversation,
  customJson,
  goodLines,
  Lab,
  messageList,
  parquetOf,
  ROOT,
  recipeOf,
} from './support.ts'

const parquetFixture = (name: string) => readFileSync(join(ROOT, 'test', 'fixtures', 'parquet', name))
const rows = (...data: unknown[]) => parquetOf({ messages: { type: messageList, data } })
const one = rows(conversation('hi', 'hello'))
const local = { task: 'messages', path: 'a.parquet' }
const empty = { label: 'nothing', rows: 0, conversations: 0 }

describe.concurrent('a parquet file that is', () => {
  const spoilt: [name: string, content: () => Uint8Array, says: string | RegExp][] = [
    ['empty', () => new Uint8Array(0), 'a.parquet: the file is empty (0 bytes)'],
    ['cut off at the end', () => one.subarray(0, one.length - 10), /^a\.parquet: .*cut/],
    ['cut off in the middle', () => one.subarray(0, one.length >> 1), /^a\.parquet: .*cut/],
    ['only its magic', () => Buffer.from('PAR1'), /^a\.parquet: /],
    ['JSON lines', () => Buffer.from(goodLines), /^a\.parquet: .*no parquet file/],
    ['zeroes', () => new Uint8Array(10_000), /^a\.parquet: .*no parquet file/],
    [
      'a footer length that is wrong',
      () => {
        const bytes = Buffer.from(one)
        bytes.writeUInt32LE(0x7fffffff, bytes.length - 8)
        return bytes
      },
      /^a\.parquet: /,
    ],
    [
      'a footer of noise',
      () => {
        const bytes = Buffer.from(one)
        for (let i = bytes.length - 200; i < bytes.length - 8; i++) bytes[i] = (i * 131) & 255
        return bytes
      },
      /^a\.parquet: /,
    ],
    [
      'a page of noise',
      () => {
        const bytes = Buffer.from(one)
        for (let i = 30; i < 60; i++) bytes[i] = (i * 131) & 255
        return bytes
      },
      /^a\.parquet: .*column "messages/,
    ],
  ]
  for (const [name, content, says] of spoilt) {
    test(name, async () => {
      const lab = new Lab()
      lab.write('a.parquet', content())
      await lab.refuses(recipeOf(local), { exit: 1, code: 'BAD_FILE', says, hint: true })
      lab.write('a.parquet', one)
      expect((await lab.builds(recipeOf(local))).splits.train.conversations).toBe(1)
    })
  }

  test('encrypted', async () => {
    const lab = new Lab()
    lab.write('a.parquet', parquetFixture('testing/uniform_encryption.parquet.encrypted'))
    await lab.refuses(recipeOf(local), { exit: 1, code: 'BAD_FILE', says: /^a\.parquet: .*encrypted/ })
  })
})

describe.concurrent('codecs', () => {
  test('each of the usual ones is read, in both page versions', async () => {
    const lab = new Lab()
    const names = ['none', 'snappy', 'zstd', 'gzip', 'brotli', 'lz4'].flatMap((codec) => [
      `codec-${codec}`,
      `codec-${codec}-v2`,
    ])
    const sources = names.map((name) => {
      lab.write(`${name}.parquet`, parquetFixture(`${name}.parquet`))
      return { task: 'messages', path: `${name}.parquet`, label: name }
    })
    const report = await lab.builds(recipeOf(sources, { onBadRow: 'quarantine', badRowLimit: 100_000 }))
    const [first, ...others] = report.splits.train.sources
    for (const source of others) expect(source.conversations).toBe(first!.conversations)
    expect(first!.conversations).toBeGreaterThan(0)
  })

  test('another one is refused by name', async () => {
    const lab = new Lab()
    // Parquet's LZO, which no writer in use offers: the codec's number in every column's metadata.
    const bytes = Buffer.from(parquetFixture('codec-none.parquet'))
    lab.write('a.parquet', withCodec(bytes, 3))
    await lab.refuses(recipeOf(local), {
      exit: 1,
      code: 'BAD_FILE',
      says: /^a\.parquet: .*codec lzo is not supported/,
      hint: /snappy, gzip/,
    })
  })
})

describe.concurrent('a compressed file', () => {
  const packed: [name: string, bytes: Uint8Array, says: string, unpack: string][] = [
    ['gzip', gzipSync(goodLines), 'the file is gzip-compressed', '`gunzip`'],
    ['gzip of parquet', gzipSync(one), 'the file is gzip-compressed', '`gunzip`'],
    ['zstd', bytesOf('28b52ffd 2411 89 00 0a', 8), 'the file is zstd-compressed', '`unzstd`'],
    ['zip', bytesOf('504b0304 14 00', 60), 'the file is a zip archive', '`unzip`'],
    ['bzip2', bytesOf('425a6839 314159265359', 30), 'the file is bzip2-compressed', '`bunzip2`'],
    ['bzip2 of nothing', bytesOf('425a6839 177245385090', 4), 'the file is bzip2-compressed', '`bunzip2`'],
  ]
  const refusal = (file: string, says: string, hint: string) =>
    ({ exit: 1, code: 'BAD_FILE', says: `${file}: ${says}, which is not supported`, hint }) as const

  for (const [name, bytes, says, unpack] of packed) {
    test(`${name}, whatever it is called`, async () => {
      const lab = new Lab()
      for (const file of ['a.jsonl', 'a.jsonl.gz', 'a.parquet']) {
        lab.write(file, bytes)
        await lab.refuses(recipeOf({ task: 'messages', path: file }), refusal(file, says, unpack))
      }
      await lab.refuses(recipeOf(customJson), refusal('a.jsonl', says, unpack))
    })
  }

  test('of the hub', async () => {
    const hub = new Lab()
    hub.write('datasets/some/packed/train.jsonl', gzipSync(goodLines))
    const server = await startHubServer(hub.dir)
    try {
      await new Lab().refuses(
        recipeOf({ task: 'messages', repo: 'some/packed', split: 'train' }),
        refusal('some/packed/train.jsonl', 'the file is gzip-compressed', 'downloaded'),
        { env: { HF_ENDPOINT: server.url } },
      )
    } finally {
      await server.close()
    }
  })

  test('no line is taken for one by its letters', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', 'PK\nBZh\nBZh9\n')
    await lab.refuses(recipeOf(customJson), {
      exit: 1,
      code: 'BAD_ROW',
      says: 'a.jsonl, line 1: not JSON: at character 1 there is "P"',
    })
  })
})

/** Bytes by their hexadecimal digits, and zeroes. */
function bytesOf(hex: string, zeroes: number): Uint8Array {
  return Buffer.concat([Buffer.from(hex.replaceAll(' ', ''), 'hex'), Buffer.alloc(zeroes)])
}

/** Puts another codec into each column's metadata (field 4, right after the path in field 3). */
function withCodec(bytes: Buffer, codec: number): Buffer {
  const footer = bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8)
  let changed = 0
  for (const path of ['role', 'content']) {
    for (
      let at = bytes.indexOf(`\x04${path}`.replace('\x04', String.fromCharCode(path.length)), footer);
      at >= 0;
      at = bytes.indexOf(String.fromCharCode(path.length) + path, at + 1)
    ) {
      const after = at + 1 + path.length
      if (bytes[after] === 0x15 && bytes[after + 1] === 0) {
        bytes[after + 1] = codec << 1
        changed++
      }
    }
  }
  expect(changed).toBeGreaterThan(0)
  return bytes
}

describe.concurrent('sources without rows', () => {
  let server: HubServer
  beforeAll(async () => {
    const hub = new Lab()
    hub.write('datasets/some/zero/train.parquet', rows())
    hub.write('datasets/some/zero-lines/train.jsonl', '\n\n')
    hub.write('datasets/some/zero-bytes/train.jsonl', '')
    server = await startHubServer(hub.dir)
  })
  afterAll(() => server.close())

  test('count as 0 conversations beside others', async () => {
    const lab = new Lab()
    lab.write('a.parquet', rows())
    lab.write('blank.jsonl', '\n \n')
    lab.write('none.jsonl', '')
    lab.write('b.jsonl', goodLines)
    const train = [
      { ...local, label: 'nothing' },
      { task: 'custom_json', path: 'blank.jsonl', label: 'nothing' },
      { task: 'custom_json', path: 'none.jsonl', label: 'nothing' },
      { task: 'messages', path: 'none.jsonl', label: 'nothing' },
      { task: 'messages', repo: 'some/zero', split: 'train', label: 'nothing' },
      { task: 'messages', repo: 'some/zero-lines', split: 'train', label: 'nothing' },
      { task: 'messages', repo: 'some/zero-bytes', split: 'train', label: 'nothing' },
      { ...customJson, path: 'b.jsonl' },
    ]
    const report = await lab.builds(recipeOf(train), { env: { HF_ENDPOINT: server.url } })
    expect(report.splits.train.sources).toMatchObject([
      ...Array(train.length - 1).fill(empty),
      { conversations: 2 },
    ])
  })

  test('are an error where nothing else is in the split', async () => {
    const lab = new Lab()
    lab.write('a.parquet', rows())
    lab.write('a.jsonl', goodLines)
    const refusal = { exit: 2, code: 'RECIPE', hint: true as const }
    await lab.refuses(recipeOf(local), { ...refusal, says: 'splits.train has no conversations' })
    await lab.refuses(recipeOf({ task: 'custom_json', path: 'none.jsonl', optional: true }), {
      ...refusal,
      says: 'splits.train has no conversations',
    })
    await lab.refuses(recipeOf({ ...customJson, repeat: 0 }), {
      ...refusal,
      says: 'splits.train has no conversations',
    })
    await lab.refuses(recipeOf({ ...customJson, start: 2 }), {
      ...refusal,
      says: 'splits.train has no conversations',
    })
    await lab.refuses(recipeOf(customJson, { splits: { val: [local], train: [customJson] } }), {
      ...refusal,
      says: 'splits.val has no conversations',
    })
    const report = await lab.builds(recipeOf(customJson, { splits: { val: [], train: [customJson] } }))
    expect(report.splits.val).toMatchObject({ conversations: 0, tokens: 0, shards: 0 })
  })
})
