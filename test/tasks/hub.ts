/** A hub with the tiny tables that the vectors were made from. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { startHubServer } from '../../hub/server/index.ts'
import type { TaskContext } from '../../tasks/index.ts'

const range = (n: number) => Array.from({ length: n }, (_, i) => i)

const arcRow = (i: number, texts: string, labels: string, answerKey: string) => ({
  id: `a${i}`,
  question: `Q${i}?`,
  choices: { text: [...texts], label: [...labels] },
  answerKey,
})

const mmluRow = (i: number) => ({
  question: `M${i}`,
  subject: `subj${i}`,
  choices: ['w', 'x', 'y', 'z'],
  answer: i,
})

export const tables: Readonly<Record<string, readonly object[]>> = {
  'openai/gsm8k/main/train.jsonl': range(4).map((i) => ({
    question: `g${i}`,
    answer: `a <<${i}*2=${2 * i}>>${2 * i}\n#### ${2 * i}`,
  })),
  'HuggingFaceTB/smol-smoltalk/default/train.jsonl': range(4).map((i) => ({
    messages: [
      { role: 'user', content: `s${i}` },
      { role: 'assistant', content: 'r' },
    ],
  })),
  'cais/mmlu/all/test.jsonl': range(4).map(mmluRow),
  'cais/mmlu/auxiliary_train/train.jsonl': range(4).map((i) => ({ train: mmluRow(i) })),
  'allenai/ai2_arc/ARC-Easy/test.jsonl': [
    arcRow(0, 'ab', 'AB', 'A'),
    arcRow(1, 'abc', 'ABC', 'A'),
    arcRow(2, 'ab', '12', '2'),
    arcRow(3, 'abc', 'ABC', 'A'),
    arcRow(4, 'ab', 'AB', 'A'),
  ],
  'allenai/ai2_arc/ARC-Challenge/test.jsonl': [arcRow(0, 'ab', 'AB', 'C'), arcRow(1, '', '', 'A')],
  'openai/openai_humaneval/openai_humaneval/test.jsonl': range(3).map((i) => ({
    task_id: `HumanEval/${i}`,
    prompt: `from typing import List\nimport math\n# c\n\ndef f${i}(x: int) -> int:\n    """ doc """\n`,
    canonical_solution: `    return x + ${i}\n`,
    test: `def check(candidate):\n    assert candidate(1) == ${1 + i}\n`,
    entry_point: `f${i}`,
  })),
}

export interface TestHub {
  readonly folder: string
  readonly context: TaskContext
  close(): Promise<void>
}

/** Serves the tables as datasets whose cards name a config and a split for each file. */
export async function tinyHub(): Promise<TestHub> {
  const folder = mkdtempSync(join(tmpdir(), 'shardmill-tasks-'))
  const configs: Record<string, string[]> = {}
  for (const [path, rows] of Object.entries(tables)) {
    const full = join(folder, 'hub', 'datasets', path)
    mkdirSync(dirname(full), { recursive: true })
    writeFileSync(full, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    const [org, name, config, file] = path.split('/') as [string, string, string, string]
    const split = file.replace('.jsonl', '')
    const entry = `- config_name: ${config}\n  data_files:\n  - split: ${split}\n    path: ${config}/${file}\n`
    configs[`${org}/${name}`] = [...(configs[`${org}/${name}`] ?? []), entry]
  }
  for (const [repo, entries] of Object.entries(configs))
    writeFileSync(
      join(folder, 'hub', 'datasets', repo, 'README.md'),
      `---\nconfigs:\n${entries.join('')}---\n`,
    )
  const server = await startHubServer(join(folder, 'hub'), {})
  return {
    folder,
    context: {
      folder,
      store: join(folder, 'store'),
      env: { HF_ENDPOINT: server.url, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' },
    },
    close: async () => {
      await server.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
