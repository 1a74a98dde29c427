/** recipes/slamkit-arc-easy.yaml on the specification's rows: SlamKit's token files, byte for byte. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { type Fields, fixtures, json, ok, projectRoot, run, temporaryFolder } from './cli.ts'

const vectors = JSON.parse(readFileSync(join(fixtures, 'vectors', 'slamkit-arc.json'), 'utf8')) as {
  files: Record<string, string>
}

/** The vectors' tokenizer: no normalizer, and the two tokens under their ids there. */
function tokenizerJson(): object {
  const file = JSON.parse(readFileSync(join(fixtures, 'jinja', 'tokenizer.json'), 'utf8')) as Fields
  const added = ['<|im_start|>', '<|im_end|>'].map((content, i) => ({
    ...{ id: 1000 + i, content, special: true, normalized: false },
    ...{ single_word: false, lstrip: false, rstrip: false },
  }))
  return { ...file, normalizer: null, added_tokens: added }
}

/** A shipped recipe, its sources exchanged for the vectors' rows. */
function recipeOn(name: string, folder: string, changes: Fields): { recipe: Fields; splits: string[] } {
  const recipe = parse(readFileSync(join(projectRoot, 'recipes', name), 'utf8')) as Fields
  const splits = Object.keys(recipe['splits'] as object)
  const columns = { instruction: 'user_text', output: 'assistant_text' }
  const sourceOf = (split: string) => ({
    ...{ task: 'messages', path: `arc_easy_${split}.jsonl`, shape: 'alpaca', columns },
  })
  for (const split of splits)
    writeFileSync(join(folder, `arc_easy_${split}.jsonl`), vectors.files[`arc_easy_${split}.jsonl`]!)
  const exchanged = Object.fromEntries(splits.map((split) => [split, [sourceOf(split)]]))
  return { recipe: { ...recipe, ...changes, splits: exchanged }, splits }
}

test('the text files of the vectors', async () => {
  const folder = temporaryFolder()
  const out = join(folder, 'out')
  const { recipe, splits } = recipeOn('slamkit-arc-easy-text.yaml', folder, {})
  writeFileSync(join(folder, 'r.yaml'), JSON.stringify(recipe))
  await json(['build', join(folder, 'r.yaml'), '--out', out, '--store', join(folder, 'store')])
  for (const split of splits) {
    const name = `arc_easy_${split}.jsonl`
    expect(readFileSync(join(out, name), 'utf8'), name).toBe(vectors.files[name])
    const shown = await ok(['inspect', join(out, name), '--store', join(folder, 'store')])
    expect(shown.stdout).toContain('"assistant_text"')
  }
  await ok(['verify', out])
  writeFileSync(join(out, 'arc_easy_test.jsonl'), '{}')
  expect((await run(['verify', out])).code).toBe(3)
})

test('the token files of the vectors, under their names', async () => {
  const folder = temporaryFolder()
  const out = join(folder, 'out')
  const tokenizer = { kind: 'huggingface', path: 'tokenizer.json', addedTokens: 'recognise' }
  const { recipe, splits } = recipeOn('slamkit-arc-easy.yaml', folder, { tokenizer })
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizerJson()))
  writeFileSync(join(folder, 'r.yaml'), JSON.stringify(recipe))
  const args = ['build', join(folder, 'r.yaml'), '--out', out, '--store', join(folder, 'store')]
  await json(args)
  for (const split of splits) {
    const name = `arc_easy_${split}_tokens.jsonl`
    expect(readFileSync(join(out, name), 'utf8'), name).toBe(vectors.files[name])
    const shown = await ok(['inspect', join(out, name), '--store', join(folder, 'store')])
    expect(shown.stdout).toContain('Respond only with the letter')
  }
  await ok(['verify', out])

  await json([...args, '--set', 'shardTokens=60', '--set', 'maskAssistantHeader=true'])
  const lines = ['', '-000001'].map((more) =>
    readFileSync(join(out, `arc_easy_train_tokens${more}.jsonl`), 'utf8'),
  )
  const labels = lines.map((line) =>
    (JSON.parse(line) as { labels: number[] }).labels.filter((id) => id !== -100),
  )
  expect(labels.map((trained) => trained.length)).toEqual([2, 2])
  await ok(['verify', out])
})
