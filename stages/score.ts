/**
 * score: a chunk of problems → the log-probability that a model gives each letter after the prompt.
 *
 * In:  JSON {letters: [[id, text]…], problems: [{tokens, letters: [id…]}…]}.
 * Out: JSON [[log-probability or null a letter]…]: null where the endpoint does not return it among its top.
 * The one stage whose result rests on a server's word: its key holds all that the server tells of the model.
 */
import { isShardmillError } from '../errors/index.ts'
import type { Environment } from '../hub/client/settings.ts'
import { canonicalJson } from '../pipeline/keys.ts'
import type { Json } from '../store/types.ts'
import { defineStage, input, paramsOf, type Stage } from './define-stage.ts'
import { ask, type EndpointOptions } from './endpoint/client.ts'
import { isObject, type Letter, letterLogprobs } from './endpoint/logprobs.ts'

/** Part of the key. */
export interface ScoreParams {
  readonly model: string
  readonly revision: Json
  /** Log-probabilities asked for. */
  readonly topLogprobs: number
}

/** Not part of the key. */
export interface ScoreHints {
  readonly endpoint: string
  readonly batch: number
  readonly timeoutMs: number
}

export interface Chunk {
  readonly letters: readonly (readonly [id: number, text: string | null])[]
  readonly problems: readonly { readonly tokens: readonly number[]; readonly letters: readonly number[] }[]
}

export type Answers = readonly (readonly (number | null)[])[]

/** How patient an endpoint's client is; `SHARDMILL_EVAL_TRIES` shortens it. */
export function endpointOptions(
  { endpoint, timeoutMs }: Pick<ScoreHints, 'endpoint' | 'timeoutMs'>,
  env: Environment,
  signal: AbortSignal,
  onRetry: (message: string) => void,
): EndpointOptions {
  const tries = Number(env['SHARDMILL_EVAL_TRIES'] ?? 6)
  const limits = { tries, idleMs: 30_000, baseMs: 500, totalMs: 15 * 60_000 }
  return { endpoint, timeoutMs, signal, onRetry, limits, apiKey: env['OPENAI_API_KEY'] || undefined }
}

export function createScore(env: Environment): Stage {
  return defineStage({
    name: 'score',
    async run(call, { store, signal, progress, notice }) {
      const params = paramsOf<ScoreParams>(call)
      const hints = call.hints as unknown as ScoreHints
      const options = endpointOptions(hints, env, signal, notice)
      const chunk = JSON.parse(
        Buffer.from(await store.readBlobBytes(input(call, 'problems'))).toString('utf8'),
      ) as Chunk
      const texts = new Map(chunk.letters)
      const answers: (number | null)[][] = []
      const fingerprints = new Set<string>()
      for (let at = 0; at < chunk.problems.length; at += hints.batch) {
        const batch = chunk.problems.slice(at, at + hints.batch)
        const letters = batch.map((problem) =>
          problem.letters.map((id): Letter => ({ id, text: texts.get(id) ?? undefined })),
        )
        const prompts = batch.map(({ tokens }) => tokens)
        const found = await complete(prompts, letters, params, options)
        answers.push(...found.answers)
        if (found.fingerprint !== undefined) fingerprints.add(found.fingerprint)
        progress.rows(batch.length)
        progress.tokens(prompts.reduce((sum, { length }) => sum + length, 0))
        progress.done(answers.length, chunk.problems.length)
      }
      const bytes = Buffer.from(canonicalJson(answers))
      return {
        outputs: { answers: await store.putBlob(bytes) },
        stats: { problems: answers.length, fingerprints: [...fingerprints].sort() },
      }
    },
  })
}

/** Servers that refuse what is not OpenAI's; they get plain requests. */
const plainServers = new Set<string>()

async function complete(
  prompts: readonly (readonly number[])[],
  letters: readonly (readonly Letter[])[],
  { model, topLogprobs }: ScoreParams,
  options: EndpointOptions,
): Promise<{ readonly answers: (number | null)[][]; readonly fingerprint: string | undefined }> {
  const body = { model, prompt: prompts, max_tokens: 1, temperature: 0, logprobs: topLogprobs, stream: false }
  const check = (answer: unknown) => answersIn(answer, letters, model)
  const { endpoint } = options
  // vLLM then names tokens by their ids, which no two share; others ignore it.
  const extended = { ...body, return_tokens_as_token_ids: true }
  if (plainServers.has(endpoint)) return ask('completions', body, options, check)
  try {
    return await ask('completions', extended, options, check)
  } catch (error) {
    const refused =
      isShardmillError(error, 'ENDPOINT_ANSWER') && [400, 422].includes(error.details?.['status'] as number)
    if (!refused || !/return_tokens_as_token_ids|unrecognized|unknown|extra/i.test(error.message)) throw error
    plainServers.add(endpoint)
    return ask('completions', body, options, check)
  }
}

/** TypeErrors say what is wrong with an answer. */
function answersIn(answer: unknown, letters: readonly (readonly Letter[])[], model: string) {
  if (!isObject(answer) || !Array.isArray(answer['choices'])) throw new TypeError('it has no choices')
  const { choices, model: answering, system_fingerprint: fingerprint } = answer
  if (typeof answering === 'string' && answering !== model && !answering.startsWith(`${model}:`))
    throw new TypeError(
      `it is of model ${JSON.stringify(answering.slice(0, 100))}, not ${JSON.stringify(model)}`,
    )
  if (choices.length !== letters.length)
    throw new TypeError(`it has ${choices.length} choices for ${letters.length} prompts`)
  const answers: (number | null)[][] = []
  for (const choice of choices as unknown[]) {
    const index = isObject(choice) ? choice['index'] : undefined
    if (typeof index !== 'number' || letters[index] === undefined)
      throw new TypeError('a choice has no index of a prompt')
    if (answers[index] !== undefined) throw new TypeError(`it has choice ${index} twice`)
    const found = letterLogprobs((choice as Record<string, unknown>)['logprobs'], letters[index])
    if (found === undefined) throw new TypeError(`choice ${index} has no log-probabilities of the next token`)
    answers[index] = found
  }
  return { answers, fingerprint: typeof fingerprint === 'string' ? fingerprint.slice(0, 200) : undefined }
}
