/** `inspect` for a file of problems: prompts as text, their letters, the right one marked as what is trained on is. */
import { loadVocabulary } from '../output/load-vocabulary.ts'
import type { Manifest } from '../output/manifest.ts'
import { FileReader } from '../stages/outputs/file-reader.ts'
import type { Problem } from '../stages/outputs/problem-files/define-format.ts'
import { problemFormatOf } from '../stages/outputs/problem-files/index.ts'
import { count } from './format-text.ts'
import { paint } from './paint.ts'
import { spanPainter, spanReader } from './token-spans.ts'

export interface InspectProblems {
  /** Number of the first problem, and how many. */
  readonly at: number
  readonly problems: number
  readonly store: string
  readonly json: boolean
}

export async function inspectProblems(
  path: string,
  { lock }: Manifest,
  { at, problems: wanted, store, json }: InspectProblems,
): Promise<void> {
  const vocabulary = await loadVocabulary(path, store)
  const spans = spanReader(vocabulary)
  const text = (ids: readonly number[]) =>
    spans(Uint32Array.from(ids), [])
      .map((span) => span.text)
      .join('')
  const { output } = lock as { readonly output: { readonly name: string } }
  const facts = ({ tokens, letterTokenIds, gold, exampleIdx }: Problem) => ({
    example_idx: exampleIdx,
    gold,
    letters: letterTokenIds.map((id) => text([id])),
    letter_token_ids: letterTokenIds,
    answer_pos: tokens.length - 1,
    text: text(Array.from(tokens)),
    tokens: Array.from(tokens),
  })
  const shown: ReturnType<typeof facts>[] = []
  const file = new FileReader(path, path)
  try {
    let number = 0
    for await (const problem of problemFormatOf(output.name).read(file)) {
      if (number++ >= at) shown.push(facts(problem))
      if (shown.length === wanted) break
    }
  } finally {
    file.close()
  }
  if (json) {
    process.stdout.write(`${JSON.stringify({ schema: 1, file: path, problems: shown })}\n`)
    return
  }
  const color = paint(process.stdout)
  const show = spanPainter(process.stdout)
  for (const { example_idx: index, text: prompt, letters, gold, tokens } of shown) {
    process.stdout.write(`\n${color.bold(`problem ${count(index)}`)}: ${count(tokens.length)} tokens\n`)
    const choices = letters.map((letter, i) => show({ text: letter, trained: i === gold }))
    process.stdout.write(`${show({ text: prompt, trained: false })}\n${choices.join(' ')}\n`)
  }
}
