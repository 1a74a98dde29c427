/** Talks to an OpenAI-compatible server: `/models` and `/completions`, with retries; a key never shows anywhere. */

import { ShardmillError } from '../../errors/index.ts'
import { scrub, showUrl } from '../../hub/client/redact.ts'
import { askedWait, HubFault, type RetryLimits, withRetries } from '../../hub/client/retry.ts'
import { rootCause } from '../../hub/client/root-cause.ts'
import { isObject } from './logprobs.ts'

export interface EndpointOptions {
  /** `http://localhost:8000/v1` */
  readonly endpoint: string
  /** From OPENAI_API_KEY. */
  readonly apiKey: string | undefined
  /** How long an answer may take. Milliseconds. */
  readonly timeoutMs: number
  readonly limits: RetryLimits
  readonly signal: AbortSignal
  readonly onRetry?: (message: string) => void
}

/** What a server says of a model, as far as it stays the same while the model does. */
export type ModelFacts = Readonly<Record<string, unknown>>

const lastingFacts = ['id', 'root', 'parent', 'owned_by', 'max_model_len', 'meta'] as const

/**
 * Looks the model up.
 * @throws NOT_FOUND when the server has it not; what `ask` throws
 */
export async function modelFacts(model: string, options: EndpointOptions): Promise<ModelFacts> {
  const answer = await ask('models', undefined, options)
  const data = isObject(answer) ? answer['data'] : undefined
  if (!Array.isArray(data)) throw wrongAnswer(options, 'its list of models is none')
  const models = data.filter(isObject)
  const found = models.find(({ id }) => id === model)
  if (found === undefined) {
    const names = models.map(({ id }) => String(id)).slice(0, 10)
    throw new ShardmillError(
      'NOT_FOUND',
      `${showUrl(options.endpoint)} has no model ${JSON.stringify(model)}`,
      {
        hint: `It serves ${scrub(names.join(', '), options.apiKey) || 'none'}.`,
      },
    )
  }
  return Object.fromEntries(lastingFacts.filter((name) => name in found).map((name) => [name, found[name]]))
}

/**
 * Sends a request (a GET without `body`) until it is answered with JSON that `check` takes.
 * @throws ENDPOINT_UNREACHABLE after all tries; ENDPOINT_ANSWER for what it refuses, or answers wrongly to the end;
 * NOT_FOUND for 404; INTERRUPTED
 */
export function ask<T = unknown>(
  route: string,
  body: object | undefined,
  options: EndpointOptions,
  check: (answer: unknown) => T = (answer) => answer as T,
): Promise<T> {
  const { limits, signal, onRetry } = options
  return withRetries(() => askOnce(route, body, options, check), {
    limits,
    signal,
    onRetry: ({ message }) => onRetry?.(message),
  })
}

async function askOnce<T>(
  route: string,
  body: object | undefined,
  { endpoint, apiKey, timeoutMs, signal }: EndpointOptions,
  check: (answer: unknown) => T,
): Promise<T> {
  const where = showUrl(endpoint)
  let response: Response
  let text: string
  try {
    response = await fetch(`${endpoint.replace(/\/+$/, '')}/${route}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    })
    text = await textOf(response, where)
  } catch (error) {
    if (error instanceof ShardmillError) throw error
    const timedOut = (error as Error).name === 'TimeoutError'
    const { code, forbiddenPort } = rootCause(error)
    if (forbiddenPort)
      throw new ShardmillError(
        'ENDPOINT_UNREACHABLE',
        `${where} is at, or leads to, a port that belongs to another protocol: no HTTP client connects to it`,
        {
          hint: 'Let the server listen on another port, for example 8000, and name it with --endpoint.',
          cause: error,
        },
      )
    const why = timedOut
      ? `gave no answer in ${timeoutMs / 1000} s`
      : `cannot be reached (${code ?? 'cut off'})`
    throw new HubFault(`${where} ${why}`, { code: 'ENDPOINT_UNREACHABLE', hint: unreachable, cause: error })
  }
  const { status } = response
  if (status === 429 || status === 408 || status >= 500)
    throw new HubFault(`${where} answered ${status}`, {
      status,
      waitMs: askedWait(response.headers),
      code: 'ENDPOINT_UNREACHABLE',
      hint: unreachable,
    })
  if (!response.ok) {
    const said = scrub(text, apiKey)
    throw new ShardmillError(
      status === 404 ? 'NOT_FOUND' : 'ENDPOINT_ANSWER',
      `${where} answered ${status}${said === '' ? '' : `: ${said}`}`,
      {
        details: { status },
        hint:
          status === 401 || status === 403
            ? 'Set OPENAI_API_KEY to a key that it takes.'
            : status === 404
              ? isThisIt
              : 'Look at --endpoint, --model and --top-logprobs, and at the server’s log.',
      },
    )
  }
  let answer: unknown
  try {
    answer = JSON.parse(text)
  } catch {
    throw new HubFault(`${where} answered with what is not JSON`, {
      code: 'ENDPOINT_ANSWER',
      hint: isThisIt,
    })
  }
  try {
    return check(answer)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new HubFault(`${where} answered wrongly: ${error.message}`, {
      code: 'ENDPOINT_ANSWER',
      hint: unreachable,
    })
  }
}

/** Far more than the log-probabilities of any batch. */
const mostBytes = 256 << 20

/** @throws ENDPOINT_ANSWER for an answer without end */
async function textOf(response: Response, where: string): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > mostBytes)
      throw new ShardmillError('ENDPOINT_ANSWER', `${where} answered with more than ${mostBytes >> 20} MiB`, {
        hint: isThisIt,
      })
    chunks.push(chunk)
  }
  return new TextDecoder().decode(Buffer.concat(chunks))
}

const unreachable = 'Look at the server, then run the same command again: what was answered is kept.'

const isThisIt = 'Is this the address of an OpenAI-compatible server, with its /v1?'

function wrongAnswer({ endpoint }: EndpointOptions, why: string): ShardmillError {
  return new ShardmillError('ENDPOINT_ANSWER', `${showUrl(endpoint)} answered wrongly: ${why}`, {
    hint: isThisIt,
  })
}
