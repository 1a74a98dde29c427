/** The tiny tables of the chat-eval vectors as a hub folder, and a recipe for them. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { vectors } from '../stages/chat-eval-vectors.ts'
import { type Fields, golden, temporaryFolder } from './cli.ts'

type Tables = Readonly<Record<string, readonly object[]>>

export const vectorTables: Tables = {
  'cais/mmlu/all/test': vectors.sources.mmlu_all_test,
  'allenai/ai2_arc/ARC-Easy/test': vectors.sources.arc_easy_test,
  'allenai/ai2_arc/ARC-Challenge/test': vectors.sources.arc_challenge_test,
}

/** A hub folder with these tables (`org/name/config/split`) as JSON lines. */
export function hubOf(tables: Tables = vectorTables): string {
  const hub = join(temporaryFolder(), 'hub')
  const cards: Record<string, string> = {}
  for (const [path, rows] of Object.entries(tables)) {
    const [org, name, config, split] = path.split('/')
    const file = join(hub, 'datasets', `${path}.jsonl`)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    cards[`${org}/${name}`] =
      `${cards[`${org}/${name}`] ?? ''}- config_name: ${config}\n  data_files:\n  - split: ${split}\n    path: ${config}/${split}.jsonl\n`
  }
  for (const [repo, configs] of Object.entries(cards))
    writeFileSync(join(hub, 'datasets', repo, 'README.md'), `---\nconfigs:\n${configs}---\n`)
  return hub
}

/** A folder with the vectors' tokenizer and a recipe for it. */
export function chatEvalRecipe(changes: Fields = {}): { readonly folder: string; readonly recipe: string } {
  const folder = temporaryFolder()
  cpSync(join(golden, 'tokenizer.pkl'), join(folder, 'tokenizer.pkl'))
  const recipe = join(folder, 'recipe.yaml')
  const tokenizer = { kind: 'nanochat', path: 'tokenizer.pkl' }
  writeFileSync(recipe, JSON.stringify({ kind: 'chat-eval', name: 'tiny-eval', tokenizer, ...changes }))
  return { folder, recipe }
}
