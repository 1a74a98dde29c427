/**
 * Evaluates a chat-eval folder on a model behind an endpoint: problems go into the store in chunks, each chunk is a
 * `score` stage, and what came back is compared with the right letters.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { isShardmillError, ShardmillError } from '../errors/index.ts'
import type { ChatEvalFacts } from '../output/kinds/chat-eval.ts'
import { type Manifest, readManifest } from '../output/manifest.ts'
import { loadTokenTexts } from '../output/token-texts.ts'
import type { EvaluateArgs, Evaluated } from '../pipeline/evaluate.ts'
import { canonicalJson, digestOfText } from '../pipeline/keys.ts'
import { modelFacts } from '../stages/endpoint/client.ts'
import { openStore } from '../stages/open-store.ts'
import { FileReader } from '../stages/outputs/file-reader.ts'
import { problemFormatOf } from '../stages/outputs/problem-files/index.ts'
import { type Answers, type Chunk, endpointOptions } from '../stages/score.ts'
import type { ManagedStore } from '../store/managed-store.ts'
import type { Digest, Json } from '../store/types.ts'
import { centered, chatCore, choiceOf, type TaskScore, wilson } from './accuracy.ts'

export interface EvaluateOptions {
  /** A folder of kind chat-eval. */
  readonly dir: string
  readonly store: string
  /** Base address, `/v1` included. */
  readonly endpoint: string
  readonly model: string
  /** Told apart from other revisions that the endpoint does not tell apart. */
  readonly revision?: string
  readonly concurrency: number
  readonly batch: number
  readonly topLogprobs: number
  readonly timeoutMs: number
  /** Only the first so many problems of each task. */
  readonly limit?: number
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
  readonly notice: (text: string) => void
  /** Scores the chunks: in this process, or elsewhere with the same store. */
  readonly score: (args: EvaluateArgs, store: ManagedStore) => Promise<Scored>
  /** Hears of every problem, in order. */
  readonly onProblem?: (problem: ScoredProblem) => void
}

export interface Scored extends Evaluated {
  readonly records: readonly Digest[]
  readonly run: number
  readonly cached: number
}

export interface ScoredProblem {
  readonly task: string
  readonly example_idx: number
  readonly gold: number
  /** Place of the letter that the model holds most likely; null when none was returned. */
  readonly answer: number | null
  readonly correct: boolean
  readonly logprobs: readonly (number | null)[]
}

export interface Evaluation {
  readonly model: string
  readonly revision: Json
  readonly tasks: readonly TaskScore[]
  readonly chatCore: { readonly mean: number; readonly interval: readonly [number, number] }
  readonly topLogprobs: number
  readonly fingerprints: readonly string[]
  readonly run: number
  readonly cached: number
}

/** Problems in a chunk: what is lost at most by a crash, and what one stage record holds. */
const chunkProblems = 64

type EvalManifest = Manifest & ChatEvalFacts

interface TaskProblems {
  readonly label: string
  readonly randomBaseline: number
  readonly golds: number[]
  readonly indices: number[]
  readonly chunks: { readonly title: string; readonly problems: Digest }[]
}

/**
 * @throws OUTPUT for a folder that is not of kind chat-eval or has no problems, VERIFY for damaged files, NOT_FOUND for a model that the
 * endpoint has not, ENDPOINT_UNREACHABLE and ENDPOINT_ANSWER for an endpoint that fails to the end
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { dir, endpoint, model, topLogprobs, signal, notice } = options
  const manifest = await readManifest(dir)
  if (manifest?.kind !== 'chat-eval')
    throw new ShardmillError('OUTPUT', `${dir} is no folder of evaluation problems`, {
      hint: 'Name a folder that was built from a recipe of `kind: chat-eval`.',
    })
  if ((manifest as EvalManifest).tasks.every(({ examples }) => examples === 0))
    throw new ShardmillError('OUTPUT', `${dir} has no problems: all were too long`, {
      hint: 'Build it again with a larger maxSeqLen.',
    })
  const facts = await modelFacts(model, endpointOptions(options, options.env, signal, notice))
  const revision = {
    ...facts,
    ...(options.revision === undefined ? {} : { revision: options.revision }),
  } as Json
  const store = await openStore(options.store, { onWarning: notice })
  try {
    await store.leaseForBuild({ signal, onWait: notice })
    const text = await letterTexts(dir, manifest as EvalManifest, options)
    const tasks: TaskProblems[] = []
    for (const task of (manifest as EvalManifest).tasks)
      tasks.push(await storeTask(task, manifest as EvalManifest, text, store, options))
    const { batch, timeoutMs, concurrency } = options
    const chunks = tasks.flatMap((task) => task.chunks)
    const args = { model, revision, topLogprobs, endpoint, batch, timeoutMs, concurrency, chunks }
    const scored = await options.score(args, store)
    await store.putBuild({
      schema: 1,
      id: digestOfText(canonicalJson({ evaluation: args as unknown as Json })),
      name: `eval-${manifest.name}`,
      finishedAt: new Date().toISOString(),
      lock: await store.putBlob(Buffer.from(canonicalJson(manifest.lock as unknown as Json))),
      records: [...scored.records].sort(),
      blobs: [...new Set(chunks.map(({ problems }) => problems))].sort(),
    })
    const scores = await scoreTasks(tasks, scored.answers, store, options)
    return {
      ...{ model, revision, tasks: scores, chatCore: chatCore(scores), topLogprobs },
      ...{ fingerprints: scored.fingerprints, run: scored.run, cached: scored.cached },
    }
  } finally {
    // With its leases.
    await store.close()
  }
}

/** What an endpoint that names tokens by their text calls a letter; null where the vocabulary is out of reach. */
async function letterTexts(
  dir: string,
  manifest: EvalManifest,
  { store, notice }: EvaluateOptions,
): Promise<(id: number) => string | null> {
  try {
    return await loadTokenTexts(join(dir, manifest.tasks[0]?.file ?? ''), store)
  } catch (error) {
    if (!isShardmillError(error)) throw error
    notice(`${error.message}; letters are told by their ids alone`)
    return () => null
  }
}

async function storeTask(
  { label, file, randomBaseline, examples }: EvalManifest['tasks'][number],
  manifest: EvalManifest,
  text: (id: number) => string | null,
  store: ManagedStore,
  { dir, limit = Number.POSITIVE_INFINITY, signal }: EvaluateOptions,
): Promise<TaskProblems> {
  const task: TaskProblems = { label, randomBaseline, golds: [], indices: [], chunks: [] }
  const of = Math.ceil(Math.min(limit, examples) / chunkProblems)
  let problems: { tokens: number[]; letters: number[] }[] = []
  const flush = async () => {
    if (problems.length === 0) return
    const ids = [...new Set(problems.flatMap(({ letters }) => letters))].sort((a, b) => a - b)
    const chunk: Chunk = { letters: ids.map((id) => [id, text(id)] as const), problems }
    const { digest } = await store.putBlob(Buffer.from(canonicalJson(chunk as unknown as Json)))
    task.chunks.push({ title: `${label} ${task.chunks.length + 1}/${of}`, problems: digest })
    problems = []
  }
  const hash = createHash('sha256')
  const reader = new FileReader(join(dir, file), file, (bytes) => hash.update(bytes))
  try {
    const { output } = manifest.lock as { readonly output: { readonly name: string } }
    for await (const problem of problemFormatOf(output.name).read(reader, {
      label,
      examples,
      randomBaseline,
    })) {
      signal.throwIfAborted()
      if (task.golds.length >= limit) continue
      task.golds.push(problem.gold)
      task.indices.push(problem.exampleIdx)
      problems.push({ tokens: Array.from(problem.tokens), letters: [...problem.letterTokenIds] })
      if (problems.length === chunkProblems) await flush()
    }
    reader.rest()
    const expected = manifest.files.find(({ path }) => path === file)?.sha256
    if (hash.digest('hex') !== expected) reader.fail(`does not have the digest of the manifest`)
    await flush()
  } finally {
    reader.close()
  }
  return task
}

async function scoreTasks(
  tasks: readonly TaskProblems[],
  answers: readonly Digest[],
  store: ManagedStore,
  { onProblem }: EvaluateOptions,
): Promise<TaskScore[]> {
  const scores: TaskScore[] = []
  let chunk = 0
  for (const { label, randomBaseline, golds, indices, chunks } of tasks) {
    let [at, correct, unanswered, partial] = [0, 0, 0, 0]
    for (const _ of chunks) {
      const found = JSON.parse(
        Buffer.from(await store.readBlobBytes(answers[chunk++]!)).toString('utf8'),
      ) as Answers
      for (const logprobs of found) {
        const gold = golds[at]!
        const answer = choiceOf(logprobs)
        const isRight = answer === gold
        if (isRight) correct++
        if (answer === undefined) unanswered++
        else if (logprobs.includes(null)) partial++
        const exampleIdx = indices[at++]!
        onProblem?.({
          ...{ task: label, example_idx: exampleIdx, gold, answer: answer ?? null },
          ...{ correct: isRight, logprobs },
        })
      }
    }
    const examples = golds.length
    const accuracy = examples === 0 ? 0 : correct / examples
    scores.push({
      ...{ label, examples, correct, accuracy, interval: wilson(correct, examples), randomBaseline },
      ...{ centered: examples === 0 ? 0 : centered(accuracy, randomBaseline), unanswered, partial },
    })
  }
  return scores
}
