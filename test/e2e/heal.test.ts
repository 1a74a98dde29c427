/** Damage in the store or in an output folder is found, named, and healed by the next build; it is never published. */
import { chmodSync, cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { HubServer } from '../../hub/server/index.ts'
import {
  type Bench,
  type BuildReport,
  bench,
  blobPath,
  buildOn,
  expectClearError,
  filesUnder,
  goldenHub,
  json,
  manifestOf,
  ok,
  outputOf,
  random,
  recordsOf,
  run,
  runOn,
  type StoredRecord,
  serve,
  sha256,
  smallRecipe,
  temporaryFolder,
  testSeed,
} from './cli.ts'
import { buildHere, expectWhole } from './in-process.ts'

const seed = testSeed()
const next = random(seed)
const below = (limit: number) => Math.floor(next() * limit)

let hub: HubServer
let at: Bench
let good: Record<string, string>
let records: Map<string, StoredRecord>

beforeAll(async () => {
  hub = await serve(goldenHub)
  at = bench(smallRecipe(), hub, temporaryFolder(), 1)
  await buildOn(at)
  good = outputOf(at.out)
  records = recordsOf(at.store)
})

function copyOfBench(): Bench {
  const folder = join(temporaryFolder(), 'b')
  cpSync(at.folder, folder, { recursive: true })
  const moved = (path: string) => path.replace(at.folder, folder)
  return {
    ...at,
    folder,
    recipe: moved(at.recipe),
    store: moved(at.store),
    out: moved(at.out),
    args: at.args.map(moved),
  }
}

/** One blob of every kind there is: who made it (or reads it), and its digest. */
interface Kind {
  readonly name: string
  readonly stage: string
  readonly digest: string
}

function kinds(): Kind[] {
  const found = new Map<string, Kind>()
  const made = new Set<string>()
  for (const { stage, outputs } of records.values()) {
    for (const [output, { digest, bytes }] of Object.entries(outputs)) {
      made.add(digest)
      const name = `${stage} ${output.replace(/\.\d+$/, '')}`
      if (bytes > 0 && !found.has(name)) found.set(name, { name, stage, digest })
    }
  }
  // What no stage made: imported files, and the lists of token blocks that shuffle reads.
  for (const { stage, inputs } of records.values()) {
    for (const [input, digest] of Object.entries(inputs)) {
      const name = `${stage} takes ${input.replace(/\.\d+$/, '')}`
      const known = [...found.values()].some((kind) => kind.digest === digest)
      if (!made.has(digest) && !known && !found.has(name)) found.set(name, { name, stage, digest })
    }
  }
  return [...found.values()]
}

const damages: Readonly<Record<string, (path: string) => void>> = {
  'one bit flipped': (path) => flip(path, below(readFileSync(path).length), below(8)),
  'cut short': (path) => rewrite(path, readFileSync(path).subarray(0, -1)),
  empty: (path) => rewrite(path, Buffer.alloc(0)),
  gone: (path) => rmSync(path),
  'another blob of the same size': (path) => rewrite(path, Buffer.alloc(readFileSync(path).length, 'x')),
}

function flip(path: string, place: number, bit: number): void {
  const bytes = readFileSync(path)
  bytes[place]! ^= 1 << bit
  rewrite(path, bytes)
}

/** Blobs are read-only: damage comes from outside. */
function rewrite(path: string, bytes: Uint8Array): void {
  chmodSync(path, 0o644)
  writeFileSync(path, bytes)
}

/** These are read through a list: by the stage named here. */
const readThroughLists: Readonly<Record<string, string>> = {
  'tokenize tokens': 'shard',
  'tokenize index': 'shuffle',
}

/** Removes the output folder and the records of all that reads the blobs, so that the next build has to read them. */
function forceUse(on: Bench, damaged: readonly Kind[]): void {
  rmSync(on.out, { recursive: true })
  const digests = damaged.map(({ digest }) => digest)
  const readers = damaged.map(({ name }) => readThroughLists[name])
  for (const { key, stage, inputs } of records.values()) {
    if (readers.includes(stage) || Object.values(inputs).some((input) => digests.includes(input)))
      rmSync(join(on.store, 'v1', 'records', key.slice(0, 2), `${key}.json`))
  }
}

interface CheckReport {
  readonly ok: boolean
  readonly findings: readonly {
    readonly kind: string
    readonly file: string
    readonly stages: readonly { readonly stage: string; readonly as: string }[]
  }[]
}

/** Damages one blob, and expects the build that reads it to name it and make it again. */
async function healsAlone(kind: string, damage: (path: string) => void): Promise<void> {
  const on = copyOfBench()
  const damaged = kinds().find(({ name }) => name === kind)!
  damage(blobPath(on.store, damaged.digest))
  forceUse(on, [damaged])
  const { code, stderr } = await runOn(on)
  expect(code, stderr).toBe(0)
  expect(stderr).toContain(damaged.digest)
  expect(outputOf(on.out)).toEqual(good)
}

describe(`a damaged blob (E2E_SEED=${seed})`, { timeout: 200_000 }, () => {
  test('there is a blob of every kind to damage', () => {
    expect(kinds().map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'download file',
        'scan partitions',
        'tokenizer vocabulary',
        'format conversations',
        'tokenize tokens',
        'tokenize index',
        'shuffle segment',
        'shuffle fingerprints',
        'shard tokens',
        'shard mask',
        'tokenizer takes file',
        'scan takes file',
        'format takes words',
        'shuffle takes source',
      ]),
    )
  })

  for (const damage of ['one bit flipped', 'gone', 'cut short']) {
    test(`${damage}, in every kind at once: store check names each file and stage, and the next build heals`, async () => {
      const on = copyOfBench()
      for (const { digest } of kinds()) damages[damage]!(blobPath(on.store, digest))
      const found = await run(['store', 'check', '--store', on.store, '--json'])
      expect(found.code).toBe(3)
      const { findings } = JSON.parse(found.stdout) as CheckReport
      for (const { digest, stage, name } of kinds()) {
        const finding = findings.find(({ file }) => basename(file) === digest)
        expect(
          finding?.stages.map((use) => use.stage),
          name,
        ).toContain(stage)
        expect(found.stderr, name).toContain(digest)
        expect(found.stderr, name).toContain(`stage ${stage} `)
      }
      expect(findings).toHaveLength(kinds().length)
      rmSync(on.out, { recursive: true })
      await buildOn(on)
      expect(outputOf(on.out)).toEqual(good)
      await expectWhole(on.store)
    })
  }

  for (const damage of Object.keys(damages)) {
    test(`${damage}, in every kind at once and unnoticed: the build that reads them heals them`, async () => {
      const on = copyOfBench()
      for (const { digest } of kinds()) damages[damage]!(blobPath(on.store, digest))
      forceUse(on, kinds())
      await buildOn(on)
      expect(outputOf(on.out)).toEqual(good)
      await expectWhole(on.store)
    })
  }

  // One at a time too: nothing else is broken that could lead the build to the damage.
  for (const kind of [
    'download file',
    'scan takes file',
    'scan partitions',
    'format conversations',
    'tokenize tokens',
    'tokenize index',
    'shuffle segment',
    'shard mask',
    'shuffle takes source',
    'format takes words',
  ]) {
    test(`${kind}: one bit flipped, unnoticed`, () => healsAlone(kind, damages['one bit flipped']!))
  }

  test('tokenize tokens: a bit before its first row flipped, unnoticed', () =>
    healsAlone('tokenize tokens', (path) => flip(path, 13, 0)))

  test('a blob whose source is gone: one clear error, and the old output stays', async () => {
    const on = copyOfBench()
    const { digest } = kinds().find(({ name }) => name === 'download file')!
    rmSync(blobPath(on.store, digest))
    const failed = await run(on.args, {
      env: { HF_ENDPOINT: 'http://127.0.0.1:1', SHARDMILL_HUB_RETRIES: '0' },
    })
    expectClearError(failed, [5])
    expect(outputOf(on.out)).toEqual(good)
  })
})

describe('a damaged record', { timeout: 200_000 }, () => {
  const recordFile = (on: Bench, key: string) =>
    join(on.store, 'v1', 'records', key.slice(0, 2), `${key}.json`)
  const sealed = (value: unknown) => {
    const text = JSON.stringify(value)
    return `{"sha256":"${sha256(Buffer.from(text))}","value":${text}}\n`
  }
  const cases: Readonly<Record<string, (path: string, record: StoredRecord) => void>> = {
    'a changed figure': (path) =>
      writeFileSync(path, readFileSync(path, 'utf8').replace(/"tokens":(\d)/, '"tokens":9$1')),
    'half of it': (path) => writeFileSync(path, readFileSync(path).subarray(0, 200)),
    empty: (path) => writeFileSync(path, ''),
    'another size, sealed again': (path, record) => {
      const [name = '', ref] = Object.entries(record.outputs)[0]!
      writeFileSync(
        path,
        sealed({ ...record, outputs: { ...record.outputs, [name]: { ...ref, bytes: ref.bytes + 1 } } }),
      )
    },
    'for a blob that is not there': (path, record) => {
      const [name = '', ref] = Object.entries(record.outputs)[0]!
      writeFileSync(
        path,
        sealed({
          ...record,
          outputs: { ...record.outputs, [name]: { ...ref, digest: sha256(Buffer.from('nothing')) } },
        }),
      )
    },
    'the record of another stage': (path, record) => {
      const other = [...records.values()].find(
        ({ stage, key }) => stage === record.stage && key !== record.key,
      )!
      writeFileSync(path, sealed(other))
    },
  }
  for (const [name, damage] of Object.entries(cases)) {
    test(`${name}: found by store check, healed by the next build`, async () => {
      const on = copyOfBench()
      const record = [...records.values()].find(({ stage }) => stage === 'tokenize')!
      damage(recordFile(on, record.key), record)
      const found = await run(['store', 'check', '--store', on.store, '--no-repair'])
      expect(found.code, found.stderr).toBe(3)
      // A record that is whole, but for a blob that is not there: the blob is the one that is missing.
      expect(found.stderr).toContain(
        name === 'for a blob that is not there' ? 'tokenize' : `${record.key}.json`,
      )
      // Of half a file nobody can say whose it was.
      if (!['half of it', 'empty'].includes(name)) expect(found.stderr).toContain('tokenize')
      const report = await buildOn(on)
      expect(report).toMatchObject({ stages: { run: 1 }, published: 'unchanged' })
      await expectWhole(on.store)
    })
  }

  test('one of a newer version is left alone', async () => {
    const on = copyOfBench()
    const record = [...records.values()].find(({ stage }) => stage === 'shard')!
    writeFileSync(recordFile(on, record.key), sealed({ ...record, schema: 2, novelty: true }))
    await ok(['store', 'check', '--store', on.store])
    await buildOn(on)
    expect(outputOf(on.out)).toEqual(good)
  })
})

describe('a damaged output folder', { timeout: 200_000 }, () => {
  const damaged = async (on: Bench, file: string): Promise<string> => {
    const { code, stderr } = await run(['verify', on.out])
    expect(code, stderr).toBe(3)
    expect(stderr).toContain(join(on.out, file))
    return stderr
  }
  const healed = async (on: Bench) => {
    expect(await buildHere(on)).toMatchObject({ published: 'written', run: 0 })
    expect(outputOf(on.out)).toEqual(good)
    await ok(['verify', on.out])
  }

  test('a byte flipped in each file: verify names the file and its stage, the next build writes the folder anew', async () => {
    const on = copyOfBench()
    const files = filesUnder(on.out)
    expect(files).toContain('manifest.json')
    expect(files).toContain('provenance.jsonl')
    for (const file of files) {
      const { stage } = manifestOf(on.out).files.find(({ path }) => path === file) ?? {}
      damages['one bit flipped']!(join(on.out, file))
      const stderr = await damaged(on, file)
      if (file.endsWith('.bin')) expect(stderr).toContain(`stage shard ${stage?.slice(0, 16)}`)
      await healed(on)
    }
  })

  test('files cut short and gone; what is too many is not ours to delete, and named until it is moved away', async () => {
    const on = copyOfBench()
    const path = (name: string) => join(on.out, name)
    const some = 'sft_train_000001_mask.bin'
    damages['cut short']!(path(some))
    await damaged(on, some)
    await healed(on)
    for (const file of [some, 'sft_val_000000.bin', 'config.json']) {
      rmSync(path(file))
      await damaged(on, file)
      await healed(on)
    }
    renameSync(path('sft_val_000000.bin'), path('sft_val_000009.bin'))
    cpSync(path('sft_train_000001.bin'), path('sft_train_000099.bin'))
    for (const file of ['sft_val_000000.bin', 'sft_val_000009.bin', 'sft_train_000099.bin'])
      await damaged(on, file)
    for (const file of ['sft_train_000099.bin', 'sft_val_000009.bin']) {
      await expect(buildHere(on)).rejects.toThrow(file)
      renameSync(path(file), `${on.out}-${file}`)
    }
    await healed(on)
  })

  test('a shard in another shard’s place', async () => {
    const on = copyOfBench()
    for (const suffix of ['', '_mask'])
      cpSync(join(on.out, `sft_train_000001${suffix}.bin`), join(on.out, `sft_train_000002${suffix}.bin`))
    await damaged(on, 'sft_train_000002.bin')
    await healed(on)
  })

  test('the manifest gone: verify says so, the next build writes the folder anew', async () => {
    const on = copyOfBench()
    rmSync(join(on.out, 'manifest.json'))
    const { code, stderr } = await run(['verify', on.out])
    expect(code).toBe(1)
    expect(stderr).toContain('manifest.json')
    await healed(on)
  })

  test('without provenance.jsonl the folder is whole, and the next build adds it again', async () => {
    const on = copyOfBench()
    rmSync(join(on.out, 'provenance.jsonl'))
    await ok(['verify', on.out])
    await healed(on)
    expect(existsSync(join(on.out, 'provenance.jsonl'))).toBe(true)
  })

  test('a foreign file: the build refuses, before any work, and touches nothing', async () => {
    const on = copyOfBench()
    writeFileSync(join(on.out, 'notes.txt'), 'mine')
    await damaged(on, 'notes.txt')
    const failed = await runOn(on)
    expectClearError(failed)
    expect(failed.stderr).toContain('notes.txt')
    rmSync(join(on.out, 'manifest.json'))
    rmSync(join(on.out, 'provenance.jsonl'))
    rmSync(join(on.out, 'notes.txt'))
    const before = outputOf(on.out)
    expectClearError(await runOn(on))
    expect(outputOf(on.out)).toEqual(before)
  })

  test('an untouched folder is not read again, a touched one is, and --recheck always', async () => {
    const on = copyOfBench()
    // The copy has other inodes than the provenance names: read, and found equal.
    expect(await buildOn(on)).toMatchObject({ published: 'unchanged' })
    expect(await json<BuildReport>([...on.args, '--recheck'], { env: on.env })).toMatchObject({
      published: 'unchanged',
    })
  })
})
