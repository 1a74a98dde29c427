/**
 * Makes the demo's data: three small datasets in the hub's layout, under the names that the recipe's tasks look for.
 * All of it is invented here, none of it comes from the sets whose shape it borrows.
 *
 *     node demo/make-data.mjs
 *
 * The same program writes the same bytes; the files it writes are kept in the repository.
 */

import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { makeChat } from './generator/chat.mjs'
import { schemas, writeParquet } from './generator/parquet.mjs'
import { makeQuestion } from './generator/quiz.mjs'
import { distinct, makeRandom } from './generator/random.mjs'
import { makeSum } from './generator/sums.mjs'

const hub = path.join(import.meta.dirname, 'hub', 'datasets')

function readme(repo, configs, about) {
  const lines = ['---', 'license: mit', 'configs:']
  for (const [config, splits] of Object.entries(configs)) {
    lines.push(`- config_name: ${config}`, '  data_files:')
    for (const [split, glob] of Object.entries(splits)) lines.push(`  - split: ${split}`, `    path: ${glob}`)
  }
  lines.push('---', '', `# ${repo} (an invented miniature)`, '', about, '')
  lines.push(
    `This is not the dataset of that name: no row of ${repo} is in it. It has its layout, columns and kind of`,
    'content, so that a recipe written for the real one runs on it. Made by `demo/make-data.mjs` for the demo of',
    'shardmill, under the same licence.',
    '',
  )
  const file = path.join(hub, repo, 'README.md')
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, lines.join('\n'))
}

function chatSet() {
  const repo = 'HuggingFaceTB/smol-smoltalk'
  const random = makeRandom(20240520)
  const seen = new Set()
  const make = () => makeChat(random)
  const test = distinct(240, seen, make)
  const train = distinct(3000, seen, make)
  readme(
    repo,
    { default: { train: 'data/train-*', test: 'data/test-*' } },
    'Short conversations about everyday things: cooking, programming, science, trips, meetings, numbers.',
  )
  const data = path.join(hub, repo, 'data')
  writeParquet(path.join(data, 'train-00000-of-00002.parquet'), schemas.chat, train.slice(0, 1500))
  writeParquet(path.join(data, 'train-00001-of-00002.parquet'), schemas.chat, train.slice(1500))
  writeParquet(path.join(data, 'test-00000-of-00001.parquet'), schemas.chat, test)
}

function quizSet() {
  const repo = 'cais/mmlu'
  const random = makeRandom(20240801)
  const seen = new Set()
  // A question stands in one split only, whatever its choices: `distinct` looks at the questions alone.
  const once = (count) => {
    const rows = new Map()
    const questions = distinct(count, seen, () => {
      const row = makeQuestion(random)
      if (!seen.has(JSON.stringify(row.question))) rows.set(row.question, row)
      return row.question
    })
    return questions.map((question) => rows.get(question))
  }
  const test = once(260).sort((a, b) => (a.subject < b.subject ? -1 : a.subject > b.subject ? 1 : 0))
  const train = once(640).map((row) => ({ train: { ...row, subject: '' } }))
  readme(
    repo,
    { all: { test: 'all/test-*' }, auxiliary_train: { train: 'auxiliary_train/train-*' } },
    'Multiple choice questions with four choices. In `auxiliary_train` each row stands in one struct column, `train`.',
  )
  writeParquet(path.join(hub, repo, 'all', 'test-00000-of-00001.parquet'), schemas.quiz, test)
  writeParquet(
    path.join(hub, repo, 'auxiliary_train', 'train-00000-of-00001.parquet'),
    schemas.nestedQuiz,
    train,
  )
}

function sumsSet() {
  const repo = 'openai/gsm8k'
  const random = makeRandom(8)
  const seen = new Set()
  const make = () => makeSum(random)
  const test = distinct(200, seen, make)
  const train = distinct(1500, seen, make)
  readme(
    repo,
    { main: { train: 'main/train-*', test: 'main/test-*' } },
    'Word problems with worked answers: `<<expression=result>>` marks a calculator call, `####` the final answer.',
  )
  writeParquet(path.join(hub, repo, 'main', 'train-00000-of-00001.parquet'), schemas.sums, train)
  writeParquet(path.join(hub, repo, 'main', 'test-00000-of-00001.parquet'), schemas.sums, test)
}

chatSet()
quizSet()
sumsSet()
