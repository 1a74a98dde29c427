/** From a file of an output folder back through every stage to the source files, by the manifest alone. */
import { filesOf, type LockedFile, sourcesOf } from '../pipeline/lock.ts'
import type { Circumstances, Digest, Json } from '../store/types.ts'
import type { Manifest, ManifestFile, ManifestStage } from './manifest.ts'
import { readProvenanceFile } from './provenance.ts'

export type TraceNode =
  | {
      readonly kind: 'stage'
      readonly stage: string
      readonly version: number
      readonly key: Digest
      readonly params: Json
      readonly stats: Readonly<Record<string, Json>>
      readonly summary: string
      /** Who ran it, where and when; absent when provenance.jsonl is gone. */
      readonly ran?: Circumstances
      readonly inputs: readonly TraceNode[]
    }
  | { readonly kind: 'file'; readonly what: string; readonly digest: Digest }

/** Circumstances by stage key; empty when the file is gone or damaged (the trace is whole without it). */
export async function readProvenance(dir: string): Promise<ReadonlyMap<Digest, Circumstances>> {
  return (await readProvenanceFile(dir))?.circumstances ?? new Map()
}

/** The stage that made `file` and what it was made from; undefined for config.json and the like. */
export function traceFile(
  manifest: Manifest,
  provenance: ReadonlyMap<Digest, Circumstances>,
  file: ManifestFile,
): TraceNode | undefined {
  if (file.stage === undefined) return undefined
  const byKey = new Map(manifest.stages.map((stage) => [stage.key, stage]))
  const makers = new Map<Digest, ManifestStage>()
  for (const stage of manifest.stages)
    for (const { digest } of Object.values(stage.outputs)) if (!makers.has(digest)) makers.set(digest, stage)
  const files = lockedFiles(manifest)
  const known = new Map<Digest, TraceNode>()

  const stageNode = (stage: ManifestStage): TraceNode => {
    const already = known.get(stage.key)
    if (already !== undefined) return already
    const ran = provenance.get(stage.key)
    const inputs = Object.keys(stage.inputs)
      .sort(byNumber)
      .flatMap((name) => blobNodes(stage.inputs[name]!))
    const source = Object.values(stage.outputs).flatMap(({ digest }) =>
      Object.keys(stage.inputs).length === 0 ? fileNodes(digest) : [],
    )
    const node: TraceNode = {
      kind: 'stage',
      stage: stage.stage,
      version: stage.version,
      key: stage.key,
      params: stage.params,
      stats: stage.stats,
      summary: summarize(stage),
      ...(ran === undefined ? {} : { ran }),
      inputs: unique([...inputs, ...source]),
    }
    known.set(stage.key, node)
    return node
  }
  const blobNodes = (digest: Digest): TraceNode[] => {
    const maker = makers.get(digest)
    if (maker !== undefined) return [stageNode(maker)]
    const list = manifest.lists[digest]
    if (list !== undefined) {
      return unique((list as unknown as { tokens: Digest }[]).flatMap(({ tokens }) => blobNodes(tokens)))
    }
    return fileNodes(digest)
  }
  const fileNodes = (digest: Digest): TraceNode[] => {
    const named = files.get(digest)
    return named === undefined
      ? [{ kind: 'file', what: 'a blob', digest }]
      : named.map((what) => ({ kind: 'file', what, digest }))
  }
  const stage = byKey.get(file.stage)
  return stage === undefined ? undefined : stageNode(stage)
}

/** Source files as people know them, by digest. A file known by git's hash alone is found by the download that got it. */
function lockedFiles(manifest: Manifest): Map<Digest, string[]> {
  const { lock } = manifest
  const files = new Map<Digest, string[]>()
  const add = (file: LockedFile, of = '') => {
    const what =
      file.hub === undefined
        ? file.path + of
        : `${file.hub.repo}@${file.hub.commit.slice(0, 12)} ${file.path} (${file.hub.revision})`
    const digest =
      file.sha256 ??
      manifest.stages.find(
        ({ stage, params }) => stage === 'download' && (params as { gitOid?: string }).gitOid === file.gitOid,
      )?.outputs['file']?.digest
    if (digest === undefined) return
    const names = files.get(digest) ?? []
    if (!names.includes(what)) files.set(digest, [...names, what])
  }
  for (const { origin, files: shards } of sourcesOf(lock))
    if (origin.kind === 'built')
      for (const file of shards) add(file, ` (built from lock ${origin.lockDigest})`)
  if (lock.kind !== 'mix') for (const file of filesOf(lock)) add(file)
  return files
}

function summarize({ params, stats }: ManifestStage): string {
  const facts: string[] = []
  const { source, partition, first, items } = params as {
    source?: { task?: string }
    partition?: number
    first?: number
    items?: number
  }
  if (source?.task !== undefined) facts.push(source.task)
  if (partition !== undefined) facts.push(`partition ${partition}`)
  if (first !== undefined && items !== undefined) facts.push(`items ${first} to ${first + items - 1}`)
  for (const name of ['rows', 'conversations', 'tokens', 'shards', 'bytes', 'vocabularySize', 'partitions']) {
    const value = stats[name]
    if (typeof value === 'number') facts.push(`${value} ${name === 'vocabularySize' ? 'ids' : name}`)
  }
  return facts.join(', ')
}

function unique(nodes: readonly TraceNode[]): TraceNode[] {
  const seen = new Set<string>()
  return nodes.filter((node) => {
    const id = node.kind === 'stage' ? node.key : `${node.what} ${node.digest}`
    if (seen.has(id)) return false
    seen.add(id)
    return true
  })
}

/** source.2 before source.10. */
function byNumber(a: string, b: string): number {
  return Number(a.split('.')[1] ?? -1) - Number(b.split('.')[1] ?? -1) || (a < b ? -1 : 1)
}
