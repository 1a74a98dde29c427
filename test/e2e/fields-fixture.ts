/** The data of test/e2e/fields.test.ts: local files, and a hub with mirrors and second revisions of its datasets. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { copyHub, fixtures, golden, projectRoot } from './cli.ts'

/** The local files that the cases name, beside the recipe. */
export function writeMore(folder: string): void {
  const say = (from: string, value: string) => ({ from, value })
  const talk = (i: number) => [say('human', `Say ${i}.`), say('gpt', `I say ${i}.`)]
  const swapped = (i: number) => [say('gpt', `Say ${i}.`), say('human', `I say ${i}.`)]
  const line = (i: number) =>
    JSON.stringify({ conversations: talk(i), backwards: talk(10 - i), swapped: swapped(i + 20) })
  writeFileSync(join(folder, 'shared.jsonl'), `${[1, 2, 3].map(line).join('\n')}\n`)
  writeFileSync(join(folder, 'other-shared.jsonl'), `${[4, 5].map(line).join('\n')}\n`)
  writeFileSync(
    join(folder, 'alpaca.jsonl'),
    `${JSON.stringify({ instruction: 'Add.', input: '1 and 1', output: '2' })}\n`,
  )
  writeFileSync(
    join(folder, 'other.jsonl'),
    '[{"role":"user","content":"hello"},{"role":"assistant","content":"good day"}]\n',
  )
  writeFileSync(join(folder, 'other.txt'), 'pear\nplum\nquince\n')
  cpSync(join(fixtures, 'tokenizers', 'rustbpe-2048.protocol4.pkl'), join(folder, 'other.pkl'))
  const { tokenizers } = JSON.parse(
    readFileSync(join(fixtures, 'tokenizers', 'huggingface.json'), 'utf8'),
  ) as {
    tokenizers: { name: string; tokenizer: unknown }[]
  }
  const { tokenizer } = tokenizers.find(({ name }) => name === 'qwen')!
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer))
  writeModel(join(folder, 'own'))
}

/** A tokenizer with its template, as a model's folder has them. */
function writeModel(folder: string): void {
  mkdirSync(folder, { recursive: true })
  const template = readFileSync(join(fixtures, 'jinja', 'chatml.jinja'), 'utf8')
  const config = { eos_token: '</s>', chat_template: template }
  cpSync(join(fixtures, 'jinja', 'tokenizer.json'), join(folder, 'tokenizer.json'))
  writeFileSync(join(folder, 'chat_template.jinja'), template)
  writeFileSync(join(folder, 'other-chat_template.jinja'), `{# another #}${template}`)
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config))
  writeFileSync(join(folder, 'other-tokenizer_config.json'), JSON.stringify({ ...config, bos_token: '<s>' }))
}

/** Tables that the golden hub has not: three rows each, with and without a second set of rows. */
function writeProblems(datasets: string): void {
  const write = (path: string, rows: readonly object[]) => {
    mkdirSync(dirname(join(datasets, path)), { recursive: true })
    writeFileSync(join(datasets, path), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  }
  const science = (i: number) => ({
    question: `What is ${i}?`,
    choices: { text: ['odd', 'even'], label: ['1', '2'] },
    answerKey: String(2 - (i % 2)),
  })
  const code = (i: number) => ({ prompt: `def f${i}(x):\n`, canonical_solution: `    return x + ${i}\n` })
  write('allenai/ai2_arc/ARC-Easy/test.jsonl', [1, 2, 3].map(science))
  write('allenai/ai2_arc/ARC-Challenge/test.jsonl', [4, 5, 6].map(science))
  write('openai/openai_humaneval/openai_humaneval/test.jsonl', [1, 2, 3].map(code))
  write('openai/openai_humaneval/second/test.jsonl', [4, 5, 6].map(code))
  for (const [repo, configs] of [
    ['allenai/ai2_arc', ['ARC-Easy', 'ARC-Challenge']],
    ['openai/openai_humaneval', ['openai_humaneval', 'second']],
  ] as const) {
    writeFileSync(
      join(datasets, repo, 'README.md'),
      card(
        configs
          .map((name) => config(name, { test: `${name}/test.jsonl`, again: `${name}/test.jsonl` }))
          .join(''),
      ),
    )
  }
}

const card = (configs: string) => `---\nconfigs:\n${configs}---\n`
const config = (name: string, splits: Record<string, string>) =>
  `- config_name: ${name}\n  data_files:\n${Object.entries(splits)
    .map(([split, path]) => `  - split: ${split}\n    path: ${path}\n`)
    .join('')}`

/** The golden hub with mirrors of its datasets under other names and at a second revision. */
export function mirrored(): string {
  const hub = copyHub()
  const datasets = join(hub, 'datasets')
  writeProblems(datasets)
  for (const [from, to] of [
    ['HuggingFaceTB/smol-smoltalk', 'mirror/talk'],
    ['cais/mmlu', 'mirror/quiz'],
    ['openai/gsm8k', 'mirror/sums'],
    ['allenai/ai2_arc', 'mirror/science'],
    ['openai/openai_humaneval', 'mirror/code'],
  ] as const) {
    for (const name of [to, `${to}@v2`])
      cpSync(join(datasets, from), join(datasets, name), { recursive: true })
  }
  const talk = join(datasets, 'mirror', 'talk')
  cpSync(
    join(
      projectRoot,
      'demo',
      'hub',
      'datasets',
      'HuggingFaceTB',
      'smol-smoltalk',
      'data',
      'test-00000-of-00001.parquet',
    ),
    join(talk, 'second', 'train.parquet'),
  )
  writeFileSync(
    join(talk, 'README.md'),
    card(
      config('default', { train: 'data/train-*', test: 'data/test-*' }) +
        config('second', { train: 'second/*' }),
    ),
  )
  writeFileSync(
    join(datasets, 'mirror', 'quiz', 'README.md'),
    card(config('all', { test: 'all/test-*', again: 'all/test-*' })),
  )
  const lists = join(datasets, 'words', 'lists')
  for (const folder of [lists, `${lists}@v2`]) {
    for (const file of ['words.txt', 'tokenizer.pkl']) cpSync(join(golden, file), join(folder, file))
    writeFileSync(join(folder, 'other.txt'), 'pear\nplum\nquince\n')
    cpSync(join(fixtures, 'tokenizers', 'rustbpe-2048.protocol4.pkl'), join(folder, 'other.pkl'))
    writeModel(folder)
  }
  writeModel(join(hub, 'models', 'own', 'model'))
  return hub
}
