/** Shards of output folders, pinned: each folder's manifest is read, and each file held against it. */
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import { listNames } from '../errors/nearest.ts'
import {
  asSft,
  beginsWithBos,
  formatOf,
  mainFiles,
  type SftManifest,
  vocabularyOf,
} from '../output/find-shard.ts'
import { manifestName, parseManifest } from '../output/manifest.ts'
import { formatOf as stageFormat } from '../pipeline/kinds/sft.ts'
import type { LockedFile, MixLock, ShardSourceFormat, ShardsLock } from '../pipeline/lock.ts'
import { shardNames, shardOf } from '../stages/outputs/index.ts'
import type { Store } from '../store/types.ts'
import { localFile, type ResolveContext } from './lock-files.ts'

/** An output folder that a recipe names. */
export interface BuiltFolder {
  /** As the recipe writes it, without a slash at its end. */
  readonly path: string
  readonly manifest: SftManifest & { readonly lock: ShardsLock }
  readonly vocabulary: MixLock['vocabulary']
}

/** Paths as the recipe writes them, of the folder's manifest and of files beside it. */
export function pathIn(folder: string, name: string): string {
  return `${folder.replace(/\/+$/, '')}/${name}`
}

type Reading = Pick<ResolveContext, 'locals' | 'store' | 'folder'>

/** Throws RECIPE errors for folders that cannot be mixed, VERIFY errors for damaged manifests. */
export async function readBuilt(from: string, where: string, context: Reading): Promise<BuiltFolder> {
  return builtFolder(from, where, await manifestText(from, where, context))
}

export function builtFolder(from: string, where: string, text: string): BuiltFolder {
  const path = from.replace(/\/+$/, '')
  const manifest = asSft(parseManifest(text, pathIn(from, manifestName)), path) as BuiltFolder['manifest']
  const { format, facts } = formatOf(manifest)
  const { template } = manifest.lock
  const cannot = (why: string) =>
    new ShardmillError('RECIPE', `${where}.from: the conversations of ${path} cannot be told apart: ${why}`, {
      hint: 'Build it with an output format that keeps conversations apart, for example output: { format: jsonl }.',
    })
  const cut = format.cut?.(facts.options)
  if (typeof cut === 'object') throw cannot(`${format.name} packs them into rows`)
  if (cut === undefined && manifest.bosId === null)
    throw cannot(`in ${format.name}, they begin with no token of their own`)
  if (cut === undefined && beginsWithBos(manifest) === 'turn')
    throw cannot(`in ${format.name}, turns begin with the same token as they do (${template.specials[0]})`)
  const stored = vocabularyOf(manifest)
  if (stored === undefined)
    throw new ShardmillError('VERIFY', 'names no vocabulary', { at: { file: pathIn(from, manifestName) } })
  const { digest, bytes } = stored
  return {
    path,
    manifest,
    vocabulary: { digest, bytes, size: manifest.vocabularySize, bosId: manifest.bosId },
  }
}

async function manifestText(
  from: string,
  where: string,
  { locals, store, folder }: Reading,
): Promise<string> {
  const path = pathIn(from, manifestName)
  const local = locals?.[path]
  if (local !== undefined && local !== null) return readText(store, local)
  try {
    return await readFile(resolve(folder, path), 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    const why = code === 'ENOENT' || code === 'ENOTDIR' ? 'has no manifest.json' : `cannot be read (${code})`
    throw new ShardmillError('RECIPE', `${where}.from: ${from} ${why}`, {
      hint: `Name a folder that \`shardmill build --out\` has written; paths start from the recipe's folder: ${join(folder, from)}`,
      cause: error,
    })
  }
}

async function readText(store: Store, { sha256 }: LockedFile): Promise<string> {
  return Buffer.from(await store.readBlobBytes(sha256!)).toString('utf8')
}

/** The split's shard files, as the manifest has them: each shard's, in the order of the format's roles. */
export function shardFiles({ path, manifest }: BuiltFolder, split: string, where: string) {
  const { format, facts } = formatOf(manifest)
  if (!(split in manifest.splits))
    throw new ShardmillError('RECIPE', `${where}.split: ${path} has no split ${split}`, {
      hint: `Its splits are ${listNames(Object.keys(manifest.splits))}.`,
    })
  const byPath = new Map(manifest.files.map((file) => [file.path, file]))
  const begin = conversationsByShard(manifest, format.files[0]!.role)
  return mainFiles(manifest, split).flatMap((main) => {
    const names = shardNames(format, shardOf(format, main.path, facts.options)?.stem ?? main.path)
    return format.files.map(({ role }, i) => {
      const file = byPath.get(names[role]!)
      const conversations = begin.get(main.sha256)
      if (file === undefined || conversations === undefined)
        throw new ShardmillError('VERIFY', `does not tell all of ${main.path}`, {
          at: { file: pathIn(path, manifestName) },
          hint: 'Build the folder again.',
        })
      return { file, ...(i === 0 ? { conversations } : {}) }
    })
  })
}

/** Conversations that begin in each shard, by the digest of its main file: what the verify stage counted. */
function conversationsByShard({ stages }: SftManifest, role: string): Map<string, number> {
  return new Map(
    stages.flatMap(({ stage, inputs, stats }) =>
      stage === 'verify' && typeof stats['conversations'] === 'number'
        ? [[inputs[role] as string, stats['conversations']] as const]
        : [],
    ),
  )
}

/** Takes the split's files into the store. A file that is not as the manifest says is a VERIFY error. */
export async function lockShards(
  folder: BuiltFolder,
  split: string,
  where: string,
  context: ResolveContext,
): Promise<LockedFile[]> {
  const locked: LockedFile[] = []
  for (const { file, ...facts } of shardFiles(folder, split, where)) {
    const path = pathIn(folder.path, file.path)
    const found = await localFile(context, path, `${where}.from`)
    if (found.sha256 !== file.sha256)
      throw new ShardmillError('VERIFY', `has sha256 ${found.sha256}, its manifest says ${file.sha256}`, {
        at: { file: path },
        hint: `It was changed or damaged: build ${folder.path} again.`,
      })
    locked.push({ ...found, ...facts })
  }
  return locked
}

/** How the import stage reads the folder's shards. */
export function shardSourceFormat({ manifest, vocabulary }: BuiltFolder): ShardSourceFormat {
  const { dtype, lock } = manifest
  const { format } = formatOf(manifest)
  const output = stageFormat(lock)
  return {
    shard: {
      dtype,
      vocabularySize: vocabulary.size,
      ...(vocabulary.bosId === null ? {} : { bosId: vocabulary.bosId }),
      ...(output === undefined ? {} : { output }),
    },
    roles: format.files.map(({ role }) => role),
    following: lock.output?.cut === undefined ? Math.ceil(lock.maxSeqLen / lock.shardTokens) : 0,
  }
}

/** Throws a RECIPE error that names both folders unless their tokens are of one vocabulary. */
export function assertSameVocabulary(one: BuiltFolder, other: BuiltFolder): void {
  const differences = [
    one.vocabulary.size === other.vocabulary.size
      ? undefined
      : `${one.vocabulary.size} ids and ${other.vocabulary.size}`,
    one.vocabulary.bosId === other.vocabulary.bosId
      ? undefined
      : `BOS ${one.vocabulary.bosId} and ${other.vocabulary.bosId}`,
    one.vocabulary.digest === other.vocabulary.digest ? undefined : 'different tokens',
  ].filter((difference) => difference !== undefined)
  if (differences.length === 0) return
  throw new ShardmillError(
    'RECIPE',
    `${one.path} and ${other.path} have different vocabularies: ${differences.join(', ')}`,
    {
      hint: 'Token ids mean something in one vocabulary only: build both with the same tokenizer and template.',
    },
  )
}
