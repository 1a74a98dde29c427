/** Who made what from what: val before train, traces back to the source files, and conversations read out of shards. */

import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer, request as forward } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { HubServer } from '../../hub/server/index.ts'
import {
  type Bench,
  bench,
  buildOn,
  expectClearError,
  golden,
  goldenHub,
  goldenRecipe,
  json,
  manifestOf,
  ok,
  recordsOf,
  run,
  type StoredRecord,
  serve,
  sha256,
  smallRecipe,
  temporaryFolder,
} from './cli.ts'

let hub: HubServer
let at: Bench
let records: Map<string, StoredRecord>

beforeAll(async () => {
  hub = await serve(goldenHub)
  at = bench(goldenRecipe(), hub)
  await buildOn(at)
  records = recordsOf(at.store)
})

interface Node {
  readonly kind: 'stage' | 'file'
  readonly stage?: string
  readonly key?: string
  readonly what?: string
  readonly digest?: string
  readonly ran?: {
    readonly user: string
    readonly host: string
    readonly startedAt: string
    readonly engine: string
  }
  readonly inputs?: readonly Node[]
}
interface TraceReport {
  readonly file: { readonly path: string; readonly sha256: string }
  readonly trace?: Node
}

function nodesOf(node: Node): Node[] {
  return [node, ...(node.inputs ?? []).flatMap(nodesOf)]
}

const traceOf = async (path: string) => nodesOf((await json<TraceReport>(['trace', path])).trace!)
const shardFiles = (split: string) =>
  manifestOf(at.out).files.filter(({ path }) => path.startsWith(`sft_${split}`))

/** Every source file of a split as it lies on disk: what it is called in a trace, and its digest. */
function sourceFiles(split: 'val' | 'train'): string[] {
  const onHub = manifestOf(at.out).lock.splits[split].flatMap(({ files }) =>
    files.flatMap(({ path, hub: origin }) => {
      if (origin === undefined) return []
      const bytes = readFileSync(join(goldenHub, 'datasets', origin.repo, path))
      expect(origin.commit).toMatch(/^[0-9a-f]{40}$/)
      return [`${origin.repo}@${origin.commit.slice(0, 12)} ${path} (main) ${sha256(bytes)}`]
    }),
  )
  const local =
    split === 'val'
      ? ['tokenizer.pkl']
      : ['tokenizer.pkl', 'identity_conversations.jsonl', 'words.txt', 'phrasebook.json']
  return [...onHub, ...local.map((name) => `${name} ${sha256(readFileSync(join(golden, name)))}`)].sort()
}

describe('val before train', () => {
  test('every stage of val has ended before any of train begins', async () => {
    const keysOf = async (split: string) => {
      const keys = new Set<string>()
      for (const { path } of shardFiles(split))
        for (const { key } of await traceOf(join(at.out, path))) if (key !== undefined) keys.add(key)
      // A verify stage has no outputs: nothing is traced through it.
      for (const { key, stage, inputs } of records.values()) {
        if (
          stage === 'verify' &&
          [...records.values()].some(
            ({ key: maker, outputs }) => keys.has(maker) && outputs['tokens']?.digest === inputs['tokens'],
          )
        )
          keys.add(key)
      }
      return keys
    }
    const [val, train] = [await keysOf('val'), await keysOf('train')]
    const times = (keys: Iterable<string>) => [...keys].map((key) => records.get(key)!.circumstances)
    const onlyTrain = [...train].filter((key) => !val.has(key))
    expect(val.size).toBeGreaterThan(10)
    expect(onlyTrain.length).toBeGreaterThan(30)
    const valEnded = times(val)
      .map(({ finishedAt }) => finishedAt)
      .sort()
      .at(-1)!
    const trainBegan = times(onlyTrain)
      .map(({ startedAt }) => startedAt)
      .sort()[0]!
    expect(valEnded <= trainBegan, `${valEnded} <= ${trainBegan}`).toBe(true)
  })

  test('no file of train is asked for before val is verified', async () => {
    const other = bench(smallRecipe(), hub)
    const verified = () =>
      [...recordsOf(other.store).values()].filter(({ stage }) => stage === 'verify').length
    const asked: { path: string; verified: number }[] = []
    const proxy = createServer((incoming, outgoing) => {
      const path = incoming.url ?? ''
      if (path.endsWith('.parquet') && path.includes('/resolve/')) asked.push({ path, verified: verified() })
      const inner = forward(
        `${hub.url}${path}`,
        { method: incoming.method, headers: incoming.headers },
        (answer) => {
          outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
          answer.pipe(outgoing)
        },
      )
      inner.on('error', () => outgoing.destroy())
      incoming.pipe(inner)
    }).listen(0)
    try {
      await buildOn({
        ...other,
        env: { HF_ENDPOINT: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` },
      })
    } finally {
      proxy.closeAllConnections()
      proxy.close()
    }
    const ofVal = asked.filter(({ path }) => path.includes('/test-'))
    const ofTrain = asked.filter(({ path }) => path.includes('/train-'))
    expect(ofVal.length).toBeGreaterThan(0)
    expect(ofTrain.length).toBeGreaterThanOrEqual(2)
    expect(new Set(ofVal.map((request) => request.verified))).toEqual(new Set([0]))
    // val is one shard here: one verify record, and nothing of train may be asked for before it.
    expect(new Set(ofTrain.map((request) => request.verified))).toEqual(new Set([1]))
  })
})

describe('trace', () => {
  const filesIn = (nodes: readonly Node[]) =>
    [
      ...new Set(nodes.filter(({ kind }) => kind === 'file').map(({ what, digest }) => `${what} ${digest}`)),
    ].sort()

  for (const split of ['val', 'train'] as const) {
    test(`every shard of ${split} leads to the source files of ${split}, and to no others`, async () => {
      for (const { path, stage, sha256: digest } of shardFiles(split)) {
        const report = await json<TraceReport>(['trace', join(at.out, path)])
        expect(report.file).toMatchObject({ path, sha256: digest })
        const nodes = nodesOf(report.trace!)
        expect(nodes[0]).toMatchObject({ kind: 'stage', stage: 'shard', key: stage })
        expect(filesIn(nodes)).toEqual(sourceFiles(split))
        for (const { kind, key, ran } of nodes) {
          if (kind === 'stage')
            expect(ran).toMatchObject({
              engine: 'in-process',
              startedAt: records.get(key!)!.circumstances.startedAt,
            })
        }
      }
    })
  }

  test('needs neither the store nor provenance.jsonl', async () => {
    const copy = join(temporaryFolder(), 'elsewhere')
    cpSync(at.out, copy, { recursive: true })
    rmSync(join(copy, 'provenance.jsonl'))
    const nodes = await traceOf(join(copy, 'sft_train_000003.bin'))
    expect(filesIn(nodes)).toEqual(sourceFiles('train'))
    expect(nodes.filter(({ ran }) => ran !== undefined)).toEqual([])
  })

  test('for people: stages from the shard to the files', async () => {
    const { stdout } = await ok(['trace', join(at.out, 'sft_val_000001_mask.bin'), '--full'])
    const lines = stdout.split('\n')
    expect(lines[0]).toContain('sft_val_000001_mask.bin')
    for (const stage of ['shard', 'shuffle', 'tokenize', 'format', 'scan', 'download', 'tokenizer'])
      expect(stdout).toMatch(new RegExp(`^ +${stage} v\\d+  key [0-9a-f]{16}`, 'm'))
    for (const file of sourceFiles('val'))
      expect(stdout).toContain(file.replace(/ ([0-9a-f]{64})$/, '  sha256 $1'))
    expect(stdout).not.toContain('\u001b')
  })

  test('a file that no stage made, and names that are no file of the folder', async () => {
    expect((await ok(['trace', join(at.out, 'config.json')])).stdout).toContain('shardmill')
    const typo = await run(['trace', join(at.out, 'sft_val_00001.bin')])
    expectClearError(typo)
    expect(typo.stderr).toContain('did you mean sft_val_000001.bin')
    expectClearError(await run(['trace', join(temporaryFolder(), 'sft_val_000000.bin')]))
  })
})

test('trace and inspect of a folder name that folder, and its shards as what to name instead', async () => {
  for (const command of ['trace', 'inspect']) {
    const built = await run([command, at.out])
    expectClearError(built)
    expect(built.stderr).toContain(`error: ${at.out} is a folder`)
    expect(built.stderr).toContain(join(at.out, 'sft_val_000000.bin'))
    expect(built.stderr).not.toContain('_mask')
    const other = await run([command, at.folder])
    expectClearError(other)
    expect(other.stderr).toContain(`error: ${at.folder} is a folder`)
  }
})

describe('inspect', () => {
  interface Inspected {
    readonly tokens: number
    readonly conversations: readonly {
      readonly start: number
      readonly tokens: number
      readonly whole: boolean | null
      readonly spans: readonly { readonly text: string; readonly trained: boolean }[]
      readonly ids: readonly number[]
      readonly mask: readonly number[]
    }[]
  }
  const identity = readFileSync(join(golden, 'identity_conversations.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as { role: string; content: string }[])
  let out: string
  beforeAll(async () => {
    out = join(at.folder, 'one-shard')
    await ok(['build', at.recipe, '--out', out, '--store', at.store, '--set', 'shardTokens=1000000'], {
      env: at.env,
    })
  })
  const shard = () => join(out, 'sft_train_000001.bin')

  test('--json: every conversation of the shard, its text as in the source, the answers and nothing else trained', async () => {
    const { tokens, conversations } = await json<Inspected>([
      'inspect',
      shard(),
      '--store',
      at.store,
      '--conversations',
      '1000',
    ])
    expect(conversations).toHaveLength(45)
    expect(conversations.reduce((sum, { ids }) => sum + ids.length, 0)).toBe(tokens)
    expect(
      conversations.every(({ ids, mask, spans }) => ids.length === mask.length && spans.length > 0),
    ).toBe(true)
    for (const messages of identity) {
      const parts = messages.flatMap(({ role, content }) =>
        role === 'user'
          ? [{ text: `<|user_start|>${content}<|user_end|><|assistant_start|>`, trained: false }]
          : [{ text: `${content}<|assistant_end|>`, trained: true }],
      )
      const spans = [{ text: `<|bos|>${parts[0]!.text}`, trained: false }, ...parts.slice(1)]
      // Twice: the recipe repeats this source.
      expect(
        conversations.filter((conversation) => JSON.stringify(conversation.spans) === JSON.stringify(spans)),
      ).toHaveLength(2)
    }
  })

  test('--at: the conversation that holds the token', async () => {
    const { conversations } = await json<Inspected>([
      'inspect',
      shard(),
      '--store',
      at.store,
      '--conversations',
      '3',
    ])
    const second = conversations[1]!
    for (const token of [second.start, second.start + second.tokens - 1]) {
      const found = await json<Inspected>([
        'inspect',
        shard(),
        '--store',
        at.store,
        '--at',
        String(token),
        '--conversations',
        '1',
      ])
      expect(found.conversations).toEqual([second])
    }
    expectClearError(await run(['inspect', shard(), '--store', at.store, '--at', '99999999']), [2])
  })

  test('the last conversation of a shard is whole when the split ends with it or the next shard begins a new one', async () => {
    const last = async (folder: string, number: number) => {
      const path = join(folder, `sft_train_00000${number}.bin`)
      const found = await json<Inspected>(['inspect', path, '--store', at.store, '--conversations', '1000'])
      return { path, first: found.conversations[0]!, last: found.conversations.at(-1)! }
    }
    expect((await last(out, 1)).last.whole).toBe(true)
    const all = await json<Inspected>(['inspect', shard(), '--store', at.store, '--conversations', '3'])
    const build = async (name: string, shardTokens: number) => {
      const folder = join(at.folder, name)
      const set = ['--set', `shardTokens=${shardTokens}`, '--set', 'splits.val=[]']
      await ok(['build', at.recipe, '--out', folder, '--store', at.store, ...set], { env: at.env })
      return folder
    }
    // Without val the first shard of train is number 0.
    const even = await build('at-the-border', all.conversations[1]!.start)
    expect((await last(even, 1)).first.whole).toBe(true)
    expect((await last(even, 0)).last).toEqual(all.conversations[0])
    const odd = await build('over-the-border', all.conversations[1]!.start - 1)
    const cut = await last(odd, 0)
    expect(cut.last.whole).toBe(false)
    expect((await ok(['inspect', cut.path, '--store', at.store])).stdout).toContain(
      'cut at the shard’s border',
    )
    rmSync(join(odd, 'sft_train_000001.bin'))
    expect((await last(odd, 0)).last).toEqual({ ...cut.last, whole: null })
    expect((await ok(['inspect', cut.path, '--store', at.store])).stdout).toContain(
      'the next shard would tell',
    )
    mkdirSync(join(odd, 'sft_train_000001.bin'))
    expect((await last(odd, 0)).last).toEqual({ ...cut.last, whole: null })
  })

  test('for people: markers where there is no colour, colour where there is', async () => {
    const args = ['inspect', shard(), '--store', at.store, '--conversations', '1000']
    const answer = `${identity[0]![1]!.content}<|assistant_end|>`
    for (const env of [{}, { NO_COLOR: '1' }]) {
      const { stdout } = await ok(args, { env })
      expect(stdout).toContain(`«${answer}»`)
      expect(stdout).not.toContain('\u001b')
    }
    const { stdout } = await ok(args, { env: { FORCE_COLOR: '1' } })
    expect(stdout).toContain(`\u001b[32m${answer}\u001b[39m`)
    expect(stdout).not.toContain('«')
  })

  test('without the store there is no vocabulary, and it says what to do; a mask shard is not for reading', async () => {
    const gone = await run(['inspect', shard(), '--store', join(temporaryFolder(), 'none')])
    expectClearError(gone)
    expect(gone.stderr).toContain('--store')
    expectClearError(await run(['inspect', join(out, 'sft_train_000001_mask.bin'), '--store', at.store]), [2])
  })
})
