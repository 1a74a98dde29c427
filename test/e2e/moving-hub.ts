/** A hub whose branches move while the commits that they leave stay, and recipes that take from it all that can move. */
import { cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { copyHub, fixtures, golden, goldenRecipe, type RecipeObject } from './cli.ts'

const talk = 'datasets/HuggingFaceTB/smol-smoltalk'
const quiz = 'datasets/own/quiz'
const lists = 'datasets/words/lists'
const model = 'models/own/model'
/** Has a loading script, so that its files come from the converted branch. */
const scripted = 'datasets/own/scripted'

const questions = (from: number) =>
  [from, from + 1, from + 2]
    .map((i) => ({
      question: `What is ${i}?`,
      subject: 'sums',
      choices: ['w', 'x', 'y', 'z'],
      answer: i % 4,
    }))
    .map((row) => `${JSON.stringify(row)}\n`)
    .join('')
const card = `---
configs:
- config_name: all
  default: true
  data_files: [{ split: test, path: all/test.jsonl }]
- config_name: more
  data_files: [{ split: test, path: more/test.jsonl }]
---
`
const jinja = readFileSync(join(fixtures, 'jinja', 'chatml.jinja'), 'utf8')

/** The golden hub, with a model, word lists, and a dataset with a loading script. Returns its folder. */
export function movingHub(): string {
  const hub = copyHub()
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(hub, path)), { recursive: true })
    writeFileSync(join(hub, path), text)
  }
  cpSync(join(hub, talk, 'data'), join(hub, scripted, 'data'), { recursive: true })
  write(`${scripted}/scripted.py`, '')
  write(`${quiz}/README.md`, card)
  write(`${quiz}/all/test.jsonl`, questions(1))
  write(`${quiz}/more/test.jsonl`, questions(7))
  write(`${lists}/words.txt`, readFileSync(join(golden, 'words.txt'), 'utf8'))
  write(`${model}/chat_template.jinja`, jinja)
  cpSync(join(fixtures, 'jinja', 'tokenizer.json'), join(hub, model, 'tokenizer.json'))
  return hub
}

/** Moves every branch to a commit with other files. */
export function moveBranches(hub: string): void {
  const change = (repo: string, files: Readonly<Record<string, string | Buffer>>) => {
    const folder = join(hub, repo)
    renameSync(folder, `${folder}@before`)
    cpSync(`${folder}@before`, folder, { recursive: true })
    for (const [path, content] of Object.entries(files)) writeFileSync(join(folder, path), content)
  }
  const read = (path: string) => readFileSync(join(hub, path))
  const otherTalk = {
    'data/test-00000-of-00001.parquet': read(`${talk}/data/train-00001-of-00002.parquet`),
    'data/train-00000-of-00002.parquet': read(`${talk}/data/test-00000-of-00001.parquet`),
  }
  change(talk, otherTalk)
  change(scripted, otherTalk)
  change(quiz, { 'all/test.jsonl': questions(4) })
  change(lists, { 'words.txt': 'pear\nplum\nquince\n' })
  change(model, {
    'tokenizer.json': `${read(`${model}/tokenizer.json`).toString('utf8')}\n`,
    'chat_template.jinja': `moved ${jinja}`,
    // A file beside the tokenizer that was not there before.
    'tokenizer_config.json': JSON.stringify({ eos_token: '</s>', chat_template: `moved too ${jinja}` }),
  })
}

/** Tables, a file of a dataset, and tokenizer and template of a model. */
export function movingRecipe(): RecipeObject {
  return goldenRecipe({
    name: 'moving',
    tokenizer: { kind: 'huggingface', model: 'own/model' },
    template: 'model',
    splits: {
      val: [
        { task: 'smoltalk', split: 'test' },
        { task: 'messages', repo: 'own/scripted', split: 'test' },
      ],
      train: [
        { task: 'smoltalk', split: 'train' },
        { task: 'custom_json', path: 'identity_conversations.jsonl' },
        { task: 'simple_spelling', size: 6, words: { repo: 'words/lists', file: 'words.txt' } },
      ],
    },
  })
}

/** A chat evaluation of one table. */
export function movingEvalRecipe(): RecipeObject {
  return {
    kind: 'chat-eval',
    name: 'moving-eval',
    tokenizer: { kind: 'nanochat', path: 'tokenizer.pkl' },
    tasks: [{ task: 'mmlu', repo: 'own/quiz', subset: 'all', split: 'test' }],
  } as unknown as RecipeObject
}
