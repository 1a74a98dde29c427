/** What the parts of a build share: what they need to know, how lists are cut into pages, and small helpers. */
import { ShardmillError } from '../errors/index.ts'
import type { Digest } from '../store/types.ts'
import type { LockedFile, LockedOutput } from './lock.ts'
import type { Settings } from './results.ts'
import type { Runner, StageCall, StageResult } from './stage.ts'

/** What every part of a build needs to know. */
export interface Context {
  readonly vocabulary: Digest
  readonly vocabularySize: number
  /** Null when conversations need not begin with a certain token. */
  readonly bosId: number | null
  /** Of a template that is a file: inputs of the stage that renders it, and what users call them. */
  readonly template?: {
    readonly inputs: Readonly<Record<string, Digest>>
    readonly names: Readonly<Record<string, string>>
  }
}

/** Of kind sft. */
export interface ShardContext extends Context {
  readonly dtype: 'uint16' | 'uint32'
  /** The output format as the shard and verify stages take it; absent: llm.c pairs. */
  readonly output?: Omit<LockedOutput, 'cut'>
}

export interface Common {
  readonly settings: Settings
  readonly context: Context
  readonly split: string
}

/** Partitions or shards of a page in flight: enough to keep any machine busy, few enough for a workflow's pending limit. */
export const fanOut = 64
export const pagesAtOnce = 8
/** How long lists are cut: what is longer than a page is built as parts with histories of their own. */
export const pageOfFiles = 16
export const pageOfPartitions = 64
export const pageOfShards = 64
/** Of partitions with bad rows: their files' names and digests, some hundred bytes each. */
export const pageOfRejects = 1_000
/** More pages than this would weigh on the history of the one who waits for them: pages grow instead. */
const mostPages = 500

export interface Page {
  readonly first: number
  readonly end: number
}

/** Runs of at most `size`, and not more than `mostPages` of them: then they are larger. */
export function pagesOf(count: number, size: number): Page[] {
  const length = Math.max(size, Math.ceil(count / mostPages))
  return Array.from({ length: Math.ceil(count / length) }, (_, i) => ({
    first: i * length,
    end: Math.min(count, (i + 1) * length),
  }))
}

/** The digest of a file's bytes: known when it was imported, else by downloading it. */
export async function obtain(file: LockedFile, title: string, run: Runner): Promise<Digest> {
  if (file.hub === undefined) return file.sha256!
  const downloaded = await run.stage(downloadCall(file, file.hub, title))
  return downloaded.outputs['file']!.digest
}

/** The download of a file of the hub. HUB_ANSWER for one without a digest: its key would be that of any other. */
export function downloadCall(
  file: Pick<LockedFile, 'path' | 'bytes' | 'sha256' | 'gitOid'>,
  hub: Pick<NonNullable<LockedFile['hub']>, 'repo' | 'commit' | 'type'>,
  title: string,
): StageCall {
  const { path, bytes, sha256, gitOid } = file
  const { repo, commit, type } = hub
  if (sha256 === undefined && gitOid === undefined) {
    throw new ShardmillError('HUB_ANSWER', 'the hub lists the file without a sha256 or git id', {
      at: { file: `${repo}/${path}` },
      hint: 'What it should hold could not be checked. Set HF_ENDPOINT to a hub that lists digests.',
    })
  }
  return {
    stage: 'download',
    title,
    params: sha256 === undefined ? { gitOid: gitOid!, bytes } : { sha256, bytes },
    inputs: {},
    hints: { repo, commit, path, ...present('type', type) },
  }
}

/** How people name a file. */
export function nameOf({ hub, path }: LockedFile): string {
  return hub === undefined ? path : `${hub.repo}/${path}`
}

/** A member of an object only if there is something to say: absent members leave keys as they were. */
export function present<K extends string, V>(name: K, value: V | undefined): { readonly [name in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [name in K]?: V })
}

export function number(result: StageResult, name: string): number {
  const value = result.stats[name]
  if (typeof value !== 'number') throw new TypeError(`stage record ${result.key} has no number '${name}'`)
  return value
}

/**
 * Raised when a kind of tokenizer would now be read otherwise, so that vocabularies of the other kinds stay cached;
 * absent where nothing changed since the stage's own version.
 */
const readerVersions: Readonly<Record<string, number>> = {
  huggingface: 2, // added tokens that are ordinary tokens too
}

/** The tokenizer's vocabulary with the template's special tokens, and the template's files if it has any. */
export async function vocabularyOf(
  { tokenizer, template }: Pick<Settings, 'tokenizer' | 'template'>,
  run: Runner,
): Promise<Context> {
  const file = await obtain(tokenizer.file, `tokenizer ${tokenizer.name}`, run)
  const vocabulary = await run.stage({
    stage: 'tokenizer',
    title: `tokenizer ${tokenizer.name}`,
    params: {
      kind: tokenizer.kind,
      ...present('version', readerVersions[tokenizer.kind]),
      specials: template.specials,
      ...present('addedTokens', tokenizer.addedTokens),
    },
    inputs: { file },
    hints: { file: tokenizer.name },
  })
  return {
    vocabulary: vocabulary.outputs['vocabulary']!.digest,
    vocabularySize: number(vocabulary, 'vocabularySize'),
    bosId: template.specials.length === 0 ? null : number(vocabulary, 'bosId'),
    ...present('template', await templateFiles(template, run)),
  }
}

/** The files of a template that is one, fetched. */
async function templateFiles(
  { name, files }: Settings['template'],
  run: Runner,
): Promise<Context['template'] | undefined> {
  if (files === undefined) return undefined
  const inputs: Record<string, Digest> = {}
  for (const role of Object.keys(files).sort())
    inputs[`template.${role}`] = await obtain(files[role]!, `template ${name}: ${role}`, run)
  return {
    inputs,
    names: Object.fromEntries(Object.entries(files).map(([role, file]) => [role, nameOf(file)])),
  }
}
