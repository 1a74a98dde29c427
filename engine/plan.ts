/**
 * The dry run: the same orchestration with a runner that looks stages up and never runs one. What would run gets
 * placeholder outputs, so that the graph unfolds behind it as far as it can be known.
 */
import { dirname } from 'node:path'
import { createHub, type Hub } from '../hub/client/hub.ts'
import { hubSettings } from '../hub/client/settings.ts'
import { buildDataset } from '../pipeline/build.ts'
import { canonicalJson, digestOfText, stageKey } from '../pipeline/keys.ts'
import { blockStages } from '../pipeline/kinds/block.ts'
import { type Kind, type Lock, lockDigest } from '../pipeline/lock.ts'
import type { BuildResult } from '../pipeline/results.ts'
import {
  itemsOf,
  LocalRunner,
  type Long,
  type StageCall,
  type StageName,
  type StageResult,
  stages,
} from '../pipeline/stage.ts'
import { parseRecipe } from '../recipe/parse.ts'
import { resolveRecipe } from '../recipe/resolve.ts'
import { openStore } from '../stages/open-store.ts'
import { outputFormatOf } from '../stages/outputs/index.ts'
import { eachRecord } from '../store/list.ts'
import type { ManagedStore } from '../store/managed-store.ts'
import type { BlobRef, Digest, Json, StageRecord } from '../store/types.ts'
import type { RecipeText } from './build.ts'

export interface PlannedStage {
  readonly stage: StageName
  readonly title: string
  readonly state: 'cached' | 'run'
  /** Absent when an input is not made yet: then the key cannot be known. */
  readonly key?: Digest
  /** Why it would run, in words. */
  readonly why?: string
}

export interface Plan {
  readonly lock: Lock
  readonly lockDigest: Digest
  readonly stages: readonly PlannedStage[]
  /** Stages of which it is known that they will run, but not how many pieces. */
  readonly unknown: readonly { readonly stage: StageName; readonly title: string; readonly why: string }[]
  /** Of the splits whose tokens are known. */
  readonly policies: readonly PolicyEffect[]
}

/** What the recipe's policies do to a source: conversations, repeats counted. Known once the split's order is. */
export interface PolicyEffect {
  readonly split: string
  readonly label: string
  readonly tooLong: 'truncate' | 'drop' | 'fail'
  readonly onUntrained: 'keep' | 'drop' | 'fail'
  /** Taken, and of these those cut at maxSeqLen and those without a trained token. */
  readonly conversations: number
  readonly truncated: number
  readonly untrained: number
  /** Left out. */
  readonly dropped: { readonly tooLong: number; readonly untrained: number }
}

export interface PlanOptions {
  readonly recipe: RecipeText
  readonly store: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
  readonly notice: (text: string) => void
}

export async function plan(options: PlanOptions): Promise<Plan> {
  const recipe = parseRecipe(options.recipe.text, options.recipe.file, options.recipe.settings)
  const store = await openStore(options.store, { readOnly: true })
  try {
    let hub: Hub | undefined
    const lock = await resolveRecipe(recipe, {
      store,
      hub: () => {
        hub ??= createHub(hubSettings(options.env), {
          signal: options.signal,
          onRetry: ({ message }) => options.notice(message),
        })
        return hub
      },
      folder: dirname(options.recipe.file),
      signal: options.signal,
      retry: () => hubSettings(options.env).retry,
      lookOnly: true,
      notice: options.notice,
    })
    const runner = new PlanRunner(store, lock.kind)
    const result = await buildDataset(lock, runner)
    return {
      lock,
      lockDigest: lockDigest(lock),
      stages: await runner.explained(),
      unknown: runner.unknown,
      policies: policiesOf(lock, result),
    }
  } finally {
    await store.close()
  }
}

function policiesOf(lock: Lock, result: BuildResult): PolicyEffect[] {
  if (result.kind === 'chat-eval' || lock.kind === 'chat-eval') return []
  return Object.entries(result.splits).flatMap(([split, { sources }]) =>
    sources.flatMap(({ label, rows, conversations, truncated, untrained, dropped }, i) => {
      // A placeholder's figures are all 0; a source without rows has nothing to tell either.
      if (rows === 0) return []
      const { tooLong = 'truncate', onUntrained = 'keep' } = lock.splits[split]![i]!
      const left = dropped ?? { tooLong: 0, untrained: 0 }
      return [{ split, label, tooLong, onUntrained, conversations, truncated, untrained, dropped: left }]
    }),
  )
}

/** A digest that nothing has: it stands for a blob that a stage has yet to make. */
const pending = 'pending:'

function isPending(digest: string): boolean {
  return digest.startsWith(pending)
}

class PlanRunner extends LocalRunner {
  readonly unknown: { stage: StageName; title: string; why: string }[] = []
  private readonly store: ManagedStore
  private readonly kind: Kind
  private readonly planned: (PlannedStage & { call: StageCall })[] = []
  private readonly seen = new Map<string, Promise<StageResult>>()
  /** Lists that hold placeholders, by the digest that was given out for them. */
  private readonly pendingLists = new Set<Digest>()

  constructor(store: ManagedStore, kind: Kind) {
    super()
    this.store = store
    this.kind = kind
  }

  stage(call: StageCall): Promise<StageResult> {
    const id = canonicalJson({ stage: call.stage, params: call.params, inputs: call.inputs })
    let result = this.seen.get(id)
    if (result === undefined) {
      result = this.lookUp(call, id)
      this.seen.set(id, result)
    }
    return result
  }

  async list(lists: readonly Long<Json>[]): Promise<Digest> {
    const text = canonicalJson(lists.flatMap((list) => itemsOf(list)))
    const digest = digestOfText(text)
    if (!text.includes(pending)) return digest
    this.pendingLists.add(digest)
    return digest
  }

  note(): void {}

  /** What was planned, with reasons found by comparing against the nearest records of the store. */
  async explained(): Promise<PlannedStage[]> {
    const keyed = new Set(
      this.planned.flatMap(({ state, key, call }) =>
        state === 'run' && key !== undefined ? [call.stage] : [],
      ),
    )
    const former: StageRecord[] = []
    if (keyed.size > 0)
      for await (const record of eachRecord(this.store))
        if (keyed.has(record.stage as StageName)) former.push(record)
    return this.planned.map(({ call, ...stage }) => {
      if (stage.state === 'cached') return stage
      return { ...stage, why: stage.key === undefined ? this.waitsFor(call) : why(call, former) }
    })
  }

  private async lookUp(call: StageCall, id: string): Promise<StageResult> {
    const known = Object.values(call.inputs).every(
      (digest) => !isPending(digest) && !this.pendingLists.has(digest),
    )
    const key = known
      ? stageKey({
          stage: call.stage,
          version: stages[call.stage].version,
          params: call.params,
          inputs: call.inputs,
        })
      : undefined
    const found = key === undefined ? undefined : await this.store.getRecord(key)
    this.planned.push({
      stage: call.stage,
      title: call.title,
      state: found === undefined ? 'run' : 'cached',
      ...(key === undefined ? {} : { key }),
      call,
    })
    return found ?? this.placeholder(call, key ?? (`${pending}${digestOfText(id)}` as Digest))
  }

  /** Enough of a result for the orchestration to go on; numbers that nobody can know yet are 0. */
  private placeholder(call: StageCall, key: Digest): StageResult {
    const output = (name: string): BlobRef => ({ digest: `${pending}${key}:${name}` as Digest, bytes: 0 })
    switch (call.stage) {
      case 'download': {
        // What the hub promises is what will come: the stages behind it can be looked up.
        const { sha256, bytes } = call.params as { sha256?: Digest; bytes: number }
        return {
          key,
          outputs: { file: sha256 === undefined ? output('file') : { digest: sha256, bytes } },
          stats: {},
        }
      }
      case 'scan':
        this.unknown.push({
          stage: 'format',
          title: call.title,
          why: 'how many partitions the file has is known once it was scanned',
        })
        this.unknown.push({
          stage: blockStages[this.kind],
          title: call.title,
          why: 'how many partitions the file has is known once it was scanned',
        })
        return { key, outputs: { partitions: output('partitions') }, stats: { partitions: 1 } } // one to stand for all
      case 'tokenizer':
        return { key, outputs: { vocabulary: output('vocabulary') }, stats: { vocabularySize: 0, bosId: 0 } }
      case 'format':
        return {
          key,
          outputs: { conversations: output('conversations'), rejects: output('rejects') },
          stats: { rejected: 0 },
        }
      case 'tokenize':
      case 'import':
      case 'problems':
        return {
          key,
          outputs: { tokens: output('tokens'), index: output('index') },
          stats: { rejected: 0 },
        }
      case 'shuffle': {
        const why = 'how many shards there are is known once the order is'
        this.unknown.push(
          { stage: 'shard', title: call.title, why },
          { stage: 'verify', title: call.title, why },
        )
        const { sources } = call.params as { sources: readonly unknown[] }
        const none = { rows: 0, conversations: 0, tokens: 0, trainedTokens: 0, truncated: 0, untrained: 0 }
        return {
          key,
          outputs: { fingerprints: output('fingerprints') },
          stats: { ...none, sources: sources.map(() => none) },
        }
      }
      case 'shard':
        return { key, outputs: shardOutputs(call, output), stats: {} }
      case 'verify':
        return { key, outputs: {}, stats: { tokens: 0, conversations: 0 } }
      case 'overlap':
        return { key, outputs: {}, stats: { overlap: 0 } }
      case 'task':
        return {
          key,
          outputs: { file: output('file') },
          stats: { rows: 0, examples: 0, skipped: 0, tokens: 0, randomBaseline: 0 },
        }
      case 'verifyTask':
        return { key, outputs: {}, stats: { examples: 0, tokens: 0 } }
      case 'score':
        throw new TypeError('no recipe has this stage')
    }
  }

  /** Which stages have to make an input first. */
  private waitsFor(call: StageCall): string {
    const makers = new Set<string>()
    for (const [name, digest] of Object.entries(call.inputs)) {
      if (this.pendingLists.has(digest)) makers.add(blockStages[this.kind])
      if (!isPending(digest)) continue
      const maker = this.planned.find(
        ({ key, call: other }) =>
          digest.startsWith(`${pending}${key ?? ''}`) && key !== undefined && other !== call,
      )
      makers.add(maker?.stage ?? name)
    }
    return `its input is made anew (${[...makers].join(', ')})`
  }
}

/** A shard has a file for each role of its format. */
function shardOutputs({ params }: StageCall, output: (name: string) => BlobRef): Record<string, BlobRef> {
  const { format } = outputFormatOf((params as { output?: Json }).output)
  return Object.fromEntries(format.files.map(({ role }) => [role, output(role)]))
}

/** The difference to the record of the same stage that differs least. */
function why(call: StageCall, former: readonly StageRecord[]): string {
  const wanted = { version: stages[call.stage].version, params: call.params, ...call.inputs }
  let best: string[] | undefined
  for (const record of former) {
    if (record.stage !== call.stage) continue
    const differences = differencesOf(
      { version: record.version, params: record.params, ...record.inputs },
      wanted,
      '',
    )
    // Equal in everything: the record is there, but an output of it is gone.
    if (differences.length === 0) return 'its output is no longer in the store'
    if (best === undefined || differences.length < best.length) best = differences
  }
  if (best === undefined) return 'never run before'
  return `differs from the nearest former run in ${best.slice(0, 3).join(', ')}${best.length > 3 ? ` and ${best.length - 3} more` : ''}`
}

function differencesOf(before: unknown, now: unknown, path: string): string[] {
  if (Object.is(before, now)) return []
  if (typeof before !== 'object' || typeof now !== 'object' || before === null || now === null)
    return [`${path} (${show(before)} → ${show(now)})`]
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])].sort()
  return names.flatMap((name) =>
    differencesOf(
      (before as Record<string, unknown>)[name],
      (now as Record<string, unknown>)[name],
      path === '' ? name : `${path}.${name}`,
    ),
  )
}

function show(value: unknown): string {
  if (typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)) return value.slice(0, 12)
  const text = JSON.stringify(value) ?? 'absent'
  return text.length > 40 ? `${text.slice(0, 37)}...` : text
}
