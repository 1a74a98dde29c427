/** A minimal OpenAI-compatible server whose logits are a fixed function of prompt and token. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** How tokens are named in answers. */
export type Form = 'ids' | 'texts' | 'content'

/** What goes wrong with the next request for completions; each is used up by one. */
export type Fault =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  | 'reset'
  | 'half'
  | 'silence'
  | 'not-json'
  | ((answer: Answer) => unknown)

export interface Answer {
  model: string
  choices: { index: number; logprobs: Record<string, unknown> }[]
  [extra: string]: unknown
}

export interface CompletionsServer {
  readonly url: string
  readonly faults: Fault[]
  /** Bodies of the requests for completions that were answered, and the keys they brought. */
  readonly requests: { readonly prompt: readonly (readonly number[])[]; readonly logprobs: number }[]
  readonly keys: Set<string | undefined>
  form: Form
  /** Refuses fields that OpenAI does not know. */
  strict: boolean
  salt: string
  close(): Promise<void>
}

export const modelName = 'tiny/model'

/** The logits after a prompt: 32 hash bits a token, between -8 and 8. */
export function logitsAfter(prompt: readonly number[], vocabularySize: number, salt = ''): Float64Array {
  const seed = createHash('sha256')
    .update(`${salt}${prompt.join(' ')}`)
    .digest()
  const logits = new Float64Array(vocabularySize)
  for (let id = 0; id < vocabularySize; id++) {
    const hash = createHash('sha256').update(seed).update(String(id)).digest()
    logits[id] = (hash.readUInt32LE(0) / 2 ** 32) * 16 - 8
  }
  return logits
}

export async function completionsServer(
  vocabularySize: number,
  textOf: (id: number) => string,
): Promise<CompletionsServer> {
  const state = {
    faults: [] as Fault[],
    requests: [] as CompletionsServer['requests'],
    keys: new Set<string | undefined>(),
    form: 'ids' as Form,
    strict: false,
    salt: '',
  }

  function choice(index: number, prompt: readonly number[], k: number): Answer['choices'][number] {
    const logits = logitsAfter(prompt, vocabularySize, state.salt)
    const total = Math.log(logits.reduce((sum, value) => sum + Math.exp(value), 0))
    const top = Array.from(logits.keys())
      .sort((a, b) => logits[b]! - logits[a]!)
      .slice(0, k)
      .map((id) => ({ id, token: textOf(id), logprob: logits[id]! - total }))
    const best = top[0]!
    if (state.form === 'content') return { index, logprobs: { content: [{ ...best, top_logprobs: top }] } }
    const name = ({ id, token }: (typeof top)[number]) => (state.form === 'ids' ? `token_id:${id}` : token)
    const ranked: Record<string, number> = {}
    for (const entry of top) ranked[name(entry)] ??= entry.logprob
    const chosen = { tokens: [name(best)], token_logprobs: [best.logprob] }
    return { index, logprobs: { ...chosen, top_logprobs: [ranked], text_offset: [0] } }
  }

  async function complete(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as {
      model: string
      prompt: number[][]
      logprobs: number
    }
    if (state.strict && 'return_tokens_as_token_ids' in body)
      return json(response, 400, { error: { message: 'Unrecognized request argument supplied' } })
    const fault = state.faults.shift()
    if (fault === 'reset') return void request.socket.destroy()
    if (fault === 'silence') return
    if (fault === 'not-json') return void response.end('<html>Bad gateway</html>')
    if (typeof fault === 'object') return json(response, fault.status, { error: 'later' }, fault.headers)
    const answer: Answer = {
      object: 'text_completion',
      model: body.model,
      system_fingerprint: `fp_${state.salt}`,
      // Any order: the index tells.
      choices: body.prompt.map((prompt, i) => choice(i, prompt, body.logprobs)).reverse(),
    }
    if (fault === 'half') {
      const text = JSON.stringify(answer)
      response.writeHead(200, { 'content-length': text.length })
      response.write(text.slice(0, text.length / 2))
      setTimeout(() => request.socket.destroy(), 20)
      return
    }
    if (fault === undefined) state.requests.push(body)
    json(response, 200, fault === undefined ? answer : fault(answer))
  }

  const server = createServer((request, response) => {
    state.keys.add(request.headers.authorization)
    if (request.url === '/v1/models')
      return json(response, 200, {
        object: 'list',
        // `created` is when vLLM was asked: it must not make another model of it.
        data: [
          { id: modelName, object: 'model', created: Date.now(), root: '/models/tiny', max_model_len: 4096 },
        ],
      })
    if (request.url === '/v1/completions') return void complete(request, response)
    json(response, 404, { error: 'no such route' })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(state, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  })
}

function json(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(value))
}
