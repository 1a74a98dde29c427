/** kind: mix. Folders that were built before, mixed: the conversations, ids and masks are theirs. */
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { build } from '../../engine/build.ts'
import { silentObserver } from '../../engine/events.ts'
import { plan } from '../../engine/plan.ts'
import { readManifest } from '../../output/manifest.ts'
import { verifyFolder } from '../../output/verify-folder.ts'
import { importLocalFiles } from '../../recipe/local-files.ts'
import { parseRecipe } from '../../recipe/parse.ts'
import { resolveRecipe } from '../../recipe/resolve.ts'
import { openStore } from '../../stages/open-store.ts'
import { fixtures, golden, goldenHub, run, serve, temporaryFolder } from './cli.ts'

const dir = temporaryFolder()
const store = join(dir, 'store')
let env: Record<string, string>

async function make(recipe: object, out: string, from = join(golden, 'recipe.yaml')) {
  const ran: string[] = []
  await build({
    recipe: { text: JSON.stringify(recipe), file: from, settings: [] },
    out: join(dir, out),
    store,
    threads: 2,
    env,
    signal: new AbortController().signal,
    observer: { ...silentObserver, finished: ({ stage }) => void ran.push(stage) },
  })
  return ran.sort()
}

const tokenizer = { kind: 'nanochat', path: 'tokenizer.pkl' }
const jsonl = { format: 'jsonl' }
const common = { kind: 'sft', tokenizer, template: 'nanochat', maxSeqLen: 256 }
const a = {
  ...common,
  name: 'a',
  // Shorter than many conversations, which go on in one shard or more after their own.
  shardTokens: 90,
  splits: {
    train: [
      { task: 'smoltalk', split: 'train' },
      { task: 'simple_spelling', size: 12, words: 'words.txt' },
    ],
    val: [{ task: 'mmlu', subset: 'all', split: 'test', stop: 4 }],
  },
}
const b = { ...common, name: 'b', shardTokens: 400, splits: { train: [{ task: 'gsm8k', split: 'train' }] } }
const mixed = {
  kind: 'mix',
  name: 'mixed',
  shardTokens: 500,
  shuffle: { kind: 'none' },
  output: jsonl,
  splits: {
    train: [
      { from: 'a', repeat: 2 },
      { from: 'b/', start: 1, step: 2 },
    ],
    val: [{ from: 'a', split: 'val' }],
  },
}
const mix = (recipe: object, out: string) => make(recipe, out, join(dir, 'mix.yaml'))

/** Lines of a folder's split: ids and labels of each conversation. */
function rows(folder: string, split: string): string[] {
  return readdirSync(join(dir, folder))
    .filter((name) => name.includes(`_${split}_`) && name.endsWith('.jsonl'))
    .sort()
    .flatMap((name) =>
      readFileSync(join(dir, folder, name), 'utf8')
        .trimEnd()
        .split('\n'),
    )
}

/** Tokens and masks of a folder's split of llm.c pairs (uint16), from all shards. */
function values(folder: string, split: string): { ids: number[]; mask: number[] } {
  const of = (suffix: RegExp) =>
    readdirSync(join(dir, folder))
      .filter((name) => name.includes(`_${split}_`) && suffix.test(name))
      .sort()
      .flatMap((name) => {
        const bytes = readFileSync(join(dir, folder, name)).subarray(1024)
        return Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readUInt16LE(2 * i))
      })
  return { ids: of(/\d\.bin$/), mask: of(/_mask\.bin$/) }
}

beforeAll(async () => {
  const hub = await serve(goldenHub)
  env = { HF_ENDPOINT: hub.url, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' }
  await make(a, 'a')
  await make({ ...a, output: jsonl }, 'a-rows')
  await make({ ...b, output: jsonl }, 'b')
}, 120_000)

test('the conversations of both folders, repeated and sliced, whole across shard borders', async () => {
  const ran = await mix(mixed, 'mixed')
  expect(ran.filter((stage) => stage !== 'import')).toEqual(
    expect.arrayContaining(['shuffle', 'shard', 'verify', 'overlap']),
  )
  expect(ran).not.toContain('tokenize')
  const train = rows('a-rows', 'train')
  const wanted = [...train, ...train, ...rows('b', 'train').filter((_, i) => i % 2 === 1)]
  expect(wanted.length).toBeGreaterThan(20)
  expect(rows('mixed', 'train')).toEqual(wanted)
  expect(rows('mixed', 'val')).toEqual(rows('a-rows', 'val'))
  expect(await mix(mixed, 'again')).toEqual([])
  const found = await verifyFolder(join(dir, 'mixed'), { signal: new AbortController().signal })
  expect(found.problems).toEqual([])
  const planned = await plan({
    recipe: { text: JSON.stringify(mixed), file: join(dir, 'mix.yaml'), settings: [] },
    ...{ store, env, signal: new AbortController().signal, notice: () => {} },
  })
  expect(planned.stages.filter(({ state }) => state === 'run')).toEqual([])
  // As Temporal has it: where the recipe is resolved there is only the store.
  const recipe = parseRecipe(JSON.stringify(mixed), join(dir, 'mix.yaml'), [])
  const opened = await openStore(store)
  try {
    const locals = await importLocalFiles(recipe, opened, dir)
    const hub = () => {
      throw new Error('a mix asks no hub')
    }
    const { signal } = new AbortController()
    const lock = await resolveRecipe(recipe, { store: opened, hub, folder: '/', signal, locals })
    expect(lock).toEqual(planned.lock)
  } finally {
    await opened.close()
  }
}, 120_000)

test('the same as llm.c pairs, and a mix of a mix', async () => {
  await mix({ ...mixed, output: undefined }, 'pairs')
  await mix(
    { ...mixed, splits: { train: [{ from: 'pairs' }], val: [{ from: 'pairs', split: 'val' }] } },
    'twice',
  )
  expect(rows('twice', 'train')).toEqual(rows('mixed', 'train'))
  const one = { ...mixed, output: undefined, splits: { train: [{ from: 'a-rows' }] } }
  await mix(one, 'from-rows')
  expect(values('from-rows', 'train')).toEqual(values('a', 'train'))
}, 120_000)

test.each(['npy', 'parquet', 'pt', 'megatron', 'mds'])(
  'there and back through %s',
  async (format) => {
    await mix({ ...mixed, output: { format } }, format)
    await mix({ ...mixed, splits: { train: [{ from: format }], val: [] } }, `${format}-back`)
    expect(rows(`${format}-back`, 'train')).toEqual(rows('mixed', 'train'))
  },
  120_000,
)

test('trace leads to the folder’s file and its lock; inspect shows a conversation', async () => {
  const manifest = (await readManifest(join(dir, 'a')))!
  const [file] = readdirSync(join(dir, 'mixed')).filter((name) => name.includes('_train_'))
  const traced = await run(['trace', '--full', join(dir, 'mixed', file!)])
  const { path } = manifest.files.find(({ role, split }) => role === 'tokens' && split === 'train')!
  expect(traced.stdout).toContain(`a/${path} (built from lock ${manifest.lockDigest})`)
  const shown = await run(['inspect', '--store', store, join(dir, 'mixed', file!)])
  expect(shown).toMatchObject({ code: 0 })
  expect(shown.stdout).toContain('<|user_start|>')
})

test('folders of different vocabularies are refused, both named', async () => {
  await make({ ...b, tokenizer: { kind: 'tiktoken', encoding: 'gpt2' } }, 'other')
  const two = { ...mixed, splits: { train: [{ from: 'a' }, { from: 'other' }] } }
  await expect(mix(two, 'x')).rejects.toMatchObject({
    code: 'RECIPE',
    message: expect.stringMatching(/a and other have different vocabularies/),
  })
}, 120_000)

test('formats and folders that cannot be mixed say so', async () => {
  await make({ ...b, output: { format: 'packed' } }, 'packed')
  const from = (entry: object) => mix({ ...mixed, splits: { train: [entry] } }, 'x')
  await expect(from({ from: 'packed' })).rejects.toMatchObject({ code: 'RECIPE' })
  await expect(from({ from: 'nowhere' })).rejects.toMatchObject({ code: 'RECIPE' })
  await expect(from({ from: 'a', split: 'test' })).rejects.toMatchObject({ code: 'RECIPE' })
}, 120_000)

describe('template chatml, whose turns begin as its conversations do', () => {
  const gpt2 = { kind: 'tiktoken', encoding: 'gpt2' }
  const chat = { ...a, name: 'chat', tokenizer: gpt2, template: 'chatml', shardTokens: 400 }
  beforeAll(async () => {
    await make(chat, 'chat')
    await make({ ...chat, output: { format: 'npy' } }, 'chat-npy')
    await make({ ...chat, output: jsonl }, 'chat-rows')
  }, 120_000)
  const inspect = async (folder: string, ...more: string[]) => {
    const names = readdirSync(join(dir, folder)).filter((name) => name.includes('_train_'))
    const path = join(dir, folder, names.find((name) => !name.includes('_mask'))!)
    const { code, stdout, stderr } = await run(['inspect', '--store', store, path, ...more])
    expect(code, stderr).toBe(0)
    return stdout
  }

  test.each([
    ['chat', 'llmc-bin'],
    ['chat-npy', 'npy'],
  ])('inspect of %s calls turns turns', async (folder, format) => {
    const found = JSON.parse(await inspect(folder, '--json', '--conversations', '2'))
    expect(found).toMatchObject({ schema: 1, format, unit: 'turn' })
    expect(found.conversations).toHaveLength(2)
    const text = await inspect(folder)
    expect(text).toContain(
      `What begins with <|im_start|> is shown: turns. ${format} does not tell where a conversation begins`,
    )
  })

  test('of a model’s own template it shows what begins as the split does', async () => {
    const spelling = { task: 'simple_spelling', size: 12, words: '../golden-sft/words.txt' }
    const model = {
      ...{ kind: 'sft', name: 'model', maxSeqLen: 256, shardTokens: 100, splits: { train: [spelling] } },
      tokenizer: { kind: 'huggingface', path: 'tokenizer.json' },
      template: { jinja: 'chatml.jinja', config: 'tokenizer_config.json' },
    }
    await make(model, 'model', join(fixtures, 'jinja', 'recipe.yaml'))
    const second = join(dir, 'model', 'sft_train_000001.bin')
    const args = ['inspect', '--store', store, second, '--at', '60', '--conversations', '1']
    const found = JSON.parse((await run([...args, '--json'])).stdout)
    expect(found.unit).toBe('unknown')
    expect(found.conversations[0].spans[0].text).toMatch(/^<\|im_start\|>/)
    expect((await run(args)).stdout).toContain('begins with <|im_start|> is shown: turns, or conversations')
  }, 120_000)

  test('inspect shows whole conversations where the format keeps them apart', async () => {
    const found = JSON.parse(await inspect('chat-rows', '--json', '--conversations', '1'))
    expect(found.unit).toBe('conversation')
    expect(found.conversations[0].ids).toEqual(JSON.parse(rows('chat-rows', 'train')[0]!).input_ids)
    expect(await inspect('chat-rows')).not.toContain('turns')
  })

  test('a mix names what is wrong and what to do, as for other folders without a BOS', async () => {
    for (const folder of ['chat', 'chat-npy'])
      await expect(mix({ ...mixed, splits: { train: [{ from: folder }] } }, 'x')).rejects.toMatchObject({
        code: 'RECIPE',
        message: expect.stringContaining('cannot be told apart'),
        hint: expect.stringContaining('jsonl'),
      })
    await mix({ ...mixed, splits: { train: [{ from: 'chat-rows' }] } }, 'chat-mixed')
    expect(rows('chat-mixed', 'train')).toEqual(rows('chat-rows', 'train'))
  }, 120_000)
})

test('a text that holds the BOS: the file is named, and what to do', async () => {
  const json = JSON.parse(readFileSync(join(fixtures, 'jinja', 'tokenizer.json'), 'utf8'))
  const id = 1 + Math.max(...json.added_tokens.map((token: { id: number }) => token.id))
  json.added_tokens.push({ ...json.added_tokens[0], id, content: '<|bos|>' })
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(json))
  const turn = (role: string, content: string) => ({ role, content })
  const chat = [turn('user', 'What is <|bos|>?'), turn('assistant', 'A token.')]
  writeFileSync(join(dir, 'bos.jsonl'), `${JSON.stringify(chat)}\n`)
  const recognising = {
    ...{ ...common, name: 'bos', shardTokens: 400 },
    tokenizer: { kind: 'huggingface', path: 'tokenizer.json', addedTokens: 'recognise' },
    splits: { train: [{ task: 'custom_json', path: 'bos.jsonl' }] },
  }
  await make(recognising, 'bos', join(dir, 'bos.yaml'))
  await expect(mix({ ...mixed, splits: { train: [{ from: 'bos' }] } }, 'x')).rejects.toMatchObject({
    code: 'VERIFY',
    at: { file: 'bos/sft_train_000000.bin' },
    hint: expect.stringContaining('jsonl'),
  })
}, 120_000)

test('a changed folder: only what depends on it is made again; a damaged file is named', async () => {
  await make({ ...b, output: jsonl, splits: { train: [{ task: 'gsm8k', split: 'train', stop: 2 }] } }, 'b')
  const ran = await mix(mixed, 'mixed')
  expect(ran.filter((stage) => stage === 'import').length).toBeLessThanOrEqual(1)
  expect(ran.filter((stage) => stage === 'shuffle')).toHaveLength(1)
  const [file] = readdirSync(join(dir, 'b')).filter(
    (name) => name.endsWith('.jsonl') && name.includes('train'),
  )
  appendFileSync(join(dir, 'b', file!), '\n')
  await expect(mix(mixed, 'x')).rejects.toMatchObject({ code: 'VERIFY', at: { file: `b/${file}` } })
  const manifest = join(dir, 'b', 'manifest.json')
  writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('"name": "b"', '"name": "c"'))
  await expect(mix(mixed, 'x')).rejects.toMatchObject({ code: 'VERIFY' })
}, 120_000)
