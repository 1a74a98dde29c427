/**
 * HumanEval: Python functions to complete, of the hub's `openai/openai_humaneval`.
 *
 *   {"task_id": "HumanEval/0", "prompt": "def f(x):\n    \"\"\"…\"\"\"\n", "canonical_solution": "    return …\n",
 *    "test": "def check(candidate): …", "entry_point": "f"}
 *
 * The answer is the whole program: prompt, a newline, solution. Its tests take no part in the conversation.
 */
import { z } from 'zod'
import type { StringColumn } from '../../parquet/columns.ts'
import { roleOf } from '../conversations.ts'
import { BadRow, defineTableSource } from './define-source.ts'
import { type HubOptions, hubFields, hubOrigin } from './hub-fields.ts'
import { isNull } from './messages-column.ts'

const newline = Buffer.from('\n')

export const humaneval = defineTableSource<HubOptions>({
  task: 'humaneval',
  version: 1,
  about: 'openai/openai_humaneval: Python functions to complete',
  fields: {
    ...hubFields,
    split: z.string().min(1).default('test').describe('The split, as the dataset names it'),
  },
  label: () => 'HumanEval',
  identity: () => ({}),
  origin: (options) => hubOrigin(options, 'openai/openai_humaneval', 'openai_humaneval'),
  seed: ({ seed }) => seed,
  columns: () => ({ prompt: { kind: 'string' }, canonical_solution: { kind: 'string' } }),
  rows: () => (batch, i, out) => {
    const prompt = batch.columns['prompt'] as StringColumn
    const solution = batch.columns['canonical_solution'] as StringColumn
    if (isNull(prompt, i)) throw new BadRow('prompt is null, expected a string')
    if (isNull(solution, i)) throw new BadRow('canonical_solution is null, expected a string')
    out.beginMessage(roleOf.user)
    out.append(prompt.bytes, prompt.offsets[i]!, prompt.offsets[i + 1]!)
    out.beginMessage(roleOf.assistant)
    out.append(prompt.bytes, prompt.offsets[i]!, prompt.offsets[i + 1]!)
    out.append(newline, 0, 1)
    out.append(solution.bytes, solution.offsets[i]!, solution.offsets[i + 1]!)
  },
})
