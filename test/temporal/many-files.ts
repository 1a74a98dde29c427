/** A synthetic dataset of as many files as wanted, each with rows of its own, in the hub's layout. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { goldenRecipe, type RecipeObject, temporaryFolder } from '../e2e/cli.ts'

export function manyFilesHub(count: number): string {
  const folder = temporaryFolder()
  const data = join(folder, 'datasets', 'synthetic', 'chats', 'data')
  mkdirSync(data, { recursive: true })
  const name = (split: string, i: number, of: number) =>
    `${split}-${String(i).padStart(5, '0')}-of-${String(of).padStart(5, '0')}.jsonl`
  const row = (i: number) =>
    `${JSON.stringify({
      messages: [
        { role: 'user', content: `What is ${i}?` },
        { role: 'assistant', content: `A number, ${i}.` },
      ],
    })}\n`
  writeFileSync(join(data, name('test', 0, 1)), row(count))
  for (let i = 0; i < count; i++) writeFileSync(join(data, name('train', i, count)), row(i))
  return folder
}

export function manyFilesRecipe(name: string): RecipeObject {
  return {
    ...goldenRecipe({ name, shardTokens: 20_000 }),
    splits: {
      val: [{ task: 'messages', repo: 'synthetic/chats', split: 'test' }],
      train: [{ task: 'messages', repo: 'synthetic/chats', split: 'train' }],
    },
  }
}
