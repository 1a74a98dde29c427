/**
 * What completions endpoints say of the first token's log-probabilities, in the three forms there are:
 *
 *   top_logprobs: [{"token_id:65": -0.1, …}]            vLLM, with return_tokens_as_token_ids
 *   top_logprobs: [{"A": -0.1, …}]                      OpenAI, vLLM, SGLang: by the token's text
 *   content: [{id, token, logprob, top_logprobs: [{id, token, logprob}]}]    llama.cpp's server
 */

/** A letter's token: its id, and its text where the vocabulary is at hand. */
export interface Letter {
  readonly id: number
  readonly text: string | undefined
}

/**
 * The log-probability of each letter; null for one that is not among those returned. Undefined when `logprobs` has
 * none of the forms above.
 */
export function letterLogprobs(logprobs: unknown, letters: readonly Letter[]): (number | null)[] | undefined {
  const found = byIdAndText(logprobs)
  if (found === undefined) return undefined
  return letters.map(
    ({ id, text }) => found.get(id) ?? (text === undefined ? undefined : found.get(text)) ?? null,
  )
}

/** Ids as numbers, texts as strings; of entries that are told twice the first counts. */
function byIdAndText(logprobs: unknown): Map<number | string, number> | undefined {
  if (!isObject(logprobs)) return undefined
  const found = new Map<number | string, number>()
  const add = (id: unknown, text: unknown, value: unknown) => {
    if (typeof value !== 'number' || Number.isNaN(value)) return
    if (typeof id === 'number') {
      if (!found.has(id)) found.set(id, value)
      return
    }
    if (typeof text !== 'string') return
    const named = /^token_id:(\d+)$/.exec(text)?.[1]
    const key = named === undefined ? text : Number(named)
    if (!found.has(key)) found.set(key, value)
  }
  const { top_logprobs: top, tokens, token_logprobs: chosen, content } = logprobs
  const first = (list: unknown): unknown => (Array.isArray(list) ? list[0] : undefined)
  const ranked = first(top)
  const entry = first(content)
  if (isObject(ranked)) for (const [text, value] of Object.entries(ranked)) add(undefined, text, value)
  else if (isObject(entry) && Array.isArray(entry['top_logprobs'])) {
    for (const item of entry['top_logprobs'])
      if (isObject(item)) add(item['id'], item['token'], item['logprob'])
    add(entry['id'], entry['token'], entry['logprob'])
  } else return undefined
  add(undefined, first(tokens), first(chosen))
  return found.size === 0 ? undefined : found
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
