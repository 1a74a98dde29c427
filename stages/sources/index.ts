/** Every source a recipe can name. Schema, lock, stages and docs are made from this list. */
import { arc } from './arc.ts'
import { customJson } from './custom-json.ts'
import type { Source } from './define-source.ts'
import { gsm8k } from './gsm8k.ts'
import { humaneval } from './humaneval.ts'
import { messages } from './messages.ts'
import { mmlu } from './mmlu.ts'
import { smoltalk } from './smoltalk.ts'
import { simpleSpelling, spellingBee } from './spelling-sources.ts'

export const sources: readonly Source[] = [
  smoltalk,
  mmlu,
  arc,
  gsm8k,
  humaneval,
  customJson,
  simpleSpelling,
  spellingBee,
  messages,
]

export function sourceOf(task: string): Source {
  const source = sources.find((candidate) => candidate.task === task)
  if (source === undefined) throw new TypeError(`no source '${task}'`)
  return source
}
