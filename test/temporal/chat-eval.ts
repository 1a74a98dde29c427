/** What tests of chat evaluation on Temporal build, and with which tokenizer. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { HubServer } from '../../hub/server/index.ts'
import { templateOf } from '../../stages/templates/index.ts'
import { readTokenizer } from '../../stages/tokenizers/index.ts'
import { chatEvalRecipe, hubOf, vectorTables } from '../e2e/chat-eval-hub.ts'
import { type Bench, type Fields, golden } from '../e2e/cli.ts'

export function chatEvalBench(hub: HubServer, changes: Fields = {}): Bench {
  const { folder, recipe } = chatEvalRecipe(changes)
  const [out, store] = [join(folder, 'out'), join(folder, 'store')]
  return { folder, recipe, store, out, env: { HF_ENDPOINT: hub.url }, args: [] }
}

export function goldenTokenizer() {
  const bytes = readFileSync(join(golden, 'tokenizer.pkl'))
  return readTokenizer('nanochat', bytes, 'tokenizer.pkl', templateOf('nanochat').specials)
}

/** The vectors' tables, that of ARC-Easy in so many files: a task with more than a page of them is a child workflow. */
export function manyFilesEvalHub(count: number): string {
  const hub = hubOf()
  const repo = join(hub, 'datasets', 'allenai', 'ai2_arc')
  const folder = join(repo, 'ARC-Easy')
  rmSync(join(folder, 'test.jsonl'))
  mkdirSync(folder, { recursive: true })
  const rows = vectorTables['allenai/ai2_arc/ARC-Easy/test']!
  for (let i = 0; i < count; i++)
    writeFileSync(
      join(folder, `test-${String(i).padStart(3, '0')}.jsonl`),
      `${JSON.stringify(rows[i % rows.length])}\n`,
    )
  const card = readFileSync(join(repo, 'README.md'), 'utf8')
  writeFileSync(join(repo, 'README.md'), card.replace('ARC-Easy/test.jsonl', 'ARC-Easy/test-*.jsonl'))
  return hub
}

export const manyFilesEvalRecipe = { name: 'many-eval' }
