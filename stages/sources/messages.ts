/**
 * messages: any dataset of conversations, from the hub or a local parquet or JSON-lines file, in one of the three
 * shapes in common use:
 *
 *   messages  {"messages": [{"role": "user", "content": "…"}, …]}
 *   sharegpt  {"conversations": [{"from": "human", "value": "…"}, …]}
 *   alpaca    {"instruction": "…", "input": "…", "output": "…"}
 */
import { z } from 'zod'
import { nearest } from '../../errors/nearest.ts'
import type { ColumnType, ListColumn, StringColumn } from '../../parquet/columns.ts'
import type { Json } from '../../store/types.ts'
import { roleOf } from '../conversations.ts'
import { BadRow, defineTableSource, type TableOrigin } from './define-source.ts'
import { hubFields, hubOrigin } from './hub-fields.ts'
import {
  isNull,
  messageRoles,
  refuseUnrendered,
  roleNames,
  unrendered,
  writeMessages,
} from './messages-column.ts'

const shapes = {
  messages: {
    columns: { messages: 'messages', role: 'role', content: 'content' },
    roles: { system: 'system', user: 'user', assistant: 'assistant' },
  },
  sharegpt: {
    columns: { messages: 'conversations', role: 'from', content: 'value' },
    roles: {
      system: 'system',
      human: 'user',
      user: 'user',
      gpt: 'assistant',
      assistant: 'assistant',
      chatgpt: 'assistant',
      model: 'assistant',
    },
  },
  alpaca: { columns: { instruction: 'instruction', input: 'input', output: 'output' }, roles: {} },
} as const

interface MessagesOptions {
  readonly repo?: string
  readonly path?: string
  readonly subset?: string
  readonly split?: string
  readonly revision: string
  readonly files?: string
  readonly seed?: number | null
  readonly shape: keyof typeof shapes
  readonly columns?: Readonly<Record<string, string>>
  readonly roles?: Readonly<Record<string, 'system' | 'user' | 'assistant'>>
  readonly label?: string
}

interface Identity {
  readonly shape: keyof typeof shapes
  readonly columns: Readonly<Record<string, string>>
  readonly roles: Readonly<Record<string, 'system' | 'user' | 'assistant'>>
}

const string: ColumnType = { kind: 'string' }

function checkRoles(shape: keyof typeof shapes, roles: NonNullable<MessagesOptions['roles']>): void {
  if (shape === 'alpaca') throw new TypeError('roles: shape alpaca has no roles')
  for (const needed of ['user', 'assistant'] as const) {
    if (!Object.values(roles).includes(needed)) throw new TypeError(`roles: no name stands for ${needed}`)
  }
}

export const messages = defineTableSource<MessagesOptions>({
  task: 'messages',
  version: 2,
  about: 'any hub dataset or local file with messages, ShareGPT conversations or Alpaca instructions',
  fields: {
    repo: hubFields.repo.describe('The dataset on the hub (or give path)'),
    path: z
      .string()
      .min(1)
      .optional()
      .describe('A local .parquet or .jsonl file, relative to the recipe (instead of repo)'),
    subset: hubFields.subset,
    split: z.string().min(1).optional().describe('The split, as the dataset names it (needed with repo)'),
    revision: hubFields.revision,
    files: hubFields.files,
    seed: z
      .int()
      .nonnegative()
      .nullable()
      .optional()
      .describe(
        "Seed of the source's own order; default 42 for hub data, null (the file's order) for a path",
      ),
    shape: z
      .enum(['messages', 'sharegpt', 'alpaca'])
      .default('messages')
      .describe('How a row holds its conversation'),
    columns: z
      .record(z.string(), z.string().min(1))
      .optional()
      .describe(
        'Other column names, e.g. {messages: chat, role: from, content: text} or {instruction: prompt, output: answer}',
      ),
    roles: z
      .record(z.string(), z.enum(messageRoles))
      .optional()
      .describe('What the role names mean, e.g. {human: user, bot: assistant}'),
    label: z
      .string()
      .min(1)
      .optional()
      .describe('Name in config.json and the report (default: the repository or file name)'),
  },
  label: ({ label, repo, path }) => label ?? repo ?? path?.split(/[\\/]/).at(-1) ?? 'messages',
  identity: ({ shape, columns, roles }) => {
    const known: Readonly<Record<string, string>> = shapes[shape].columns
    const names = [...Object.keys(known), ...(shape === 'alpaca' ? ['system'] : [])]
    const unknown = Object.keys(columns ?? {}).find((name) => !names.includes(name))
    if (unknown !== undefined) {
      const guess = nearest(unknown, names)
      throw new TypeError(
        `columns.${unknown}: shape ${shape} has the columns ${names.join(', ')}${guess === undefined ? '' : `; did you mean ${guess}?`}`,
      )
    }
    // Whoever renames Alpaca's columns names those there are: many such datasets have no `input`.
    const { input: _, ...needed } = known
    const base = shape === 'alpaca' && columns !== undefined ? needed : known
    const mapped: Readonly<Record<string, string>> = { ...base, ...columns }
    if (mapped['role'] !== undefined && mapped['role'] === mapped['content']) {
      throw new TypeError(`columns: role and content are both ${JSON.stringify(mapped['role'])}`)
    }
    if (roles !== undefined) checkRoles(shape, roles)
    return { shape, columns: mapped, roles: roles ?? shapes[shape].roles }
  },
  origin: (options): TableOrigin => {
    if (options.repo !== undefined && options.path !== undefined)
      throw new TypeError('give repo or path, not both')
    if (options.path !== undefined) {
      const ofHub = (['subset', 'split', 'files'] as const).find((name) => options[name] !== undefined)
      if (ofHub !== undefined)
        throw new TypeError(`${ofHub} is for datasets of the hub (repo), and path is a local file`)
      return { kind: 'local', path: options.path }
    }
    if (options.repo === undefined)
      throw new TypeError('needs repo (a dataset on the hub) or path (a local file)')
    if (options.split === undefined) throw new TypeError('needs split')
    return hubOrigin({ ...options, split: options.split, seed: 42 }, options.repo)
  },
  seed: ({ seed, repo }) => (seed === undefined ? (repo === undefined ? null : 42) : seed),
  columns: (identity) => {
    const { shape, columns } = identity as unknown as Identity
    if (shape !== 'alpaca') {
      const fields = { [columns['role']!]: string, [columns['content']!]: string }
      return {
        [columns['messages']!]: {
          kind: 'list',
          item: {
            kind: 'struct',
            fields,
            watched: unrendered.filter((name) => !Object.hasOwn(fields, name)),
          },
        },
      }
    }
    return Object.fromEntries(Object.values(columns).map((name) => [name, string]))
  },
  rows: (identity) => {
    const { shape, columns, roles } = identity as unknown as Identity
    if (shape !== 'alpaca') {
      const names = roleNames(roles)
      return (batch, i, out) => {
        const messages = batch.columns[columns['messages']!] as ListColumn
        refuseUnrendered(messages, i)
        writeMessages(messages, i, columns['role']!, columns['content']!, names, out)
      }
    }
    return (batch, i, out) => {
      const column = (name: string) =>
        columns[name] === undefined ? undefined : (batch.columns[columns[name]] as StringColumn)
      const instruction = column('instruction')!
      const input = column('input')
      const output = column('output')!
      const system = column('system')
      if (isNull(instruction, i)) throw new BadRow(`${columns['instruction']} is null, expected a string`)
      if (isNull(output, i)) throw new BadRow(`${columns['output']} is null, expected a string`)
      if (system !== undefined && !isNull(system, i) && system.offsets[i] !== system.offsets[i + 1]) {
        out.beginMessage(roleOf.system)
        out.append(system.bytes, system.offsets[i]!, system.offsets[i + 1]!)
      }
      out.beginMessage(roleOf.user)
      out.append(instruction.bytes, instruction.offsets[i]!, instruction.offsets[i + 1]!)
      if (input !== undefined && input.offsets[i] !== input.offsets[i + 1]) {
        out.appendString('\n\n')
        out.append(input.bytes, input.offsets[i]!, input.offsets[i + 1]!)
      }
      out.beginMessage(roleOf.assistant)
      out.append(output.bytes, output.offsets[i]!, output.offsets[i + 1]!)
    }
  },
})

export type MessagesIdentity = Identity & Json
