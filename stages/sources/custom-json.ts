/**
 * CustomJSON: conversations of your own, one JSON list of messages a line.
 *
 *   [{"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "…"}]
 *
 * The order of the file is kept. A missing file is an error unless `optional: true`, then it counts as empty.
 */
import { z } from 'zod'
import { roleOf } from '../conversations.ts'
import { BadRow, defineLinesSource } from './define-source.ts'
import { quoted } from './messages-column.ts'

interface CustomJsonOptions {
  readonly path: string
  readonly optional: boolean
  readonly label?: string
}

export const customJson = defineLinesSource<CustomJsonOptions>({
  task: 'custom_json',
  version: 1,
  about: 'a local JSON-lines file, one list of messages a line',
  fields: {
    path: z.string().min(1).describe('The file, relative to the recipe'),
    optional: z.boolean().default(false).describe('A missing file counts as empty instead of being an error'),
    label: z.string().min(1).optional().describe('Name in config.json and the report (default CustomJSON)'),
  },
  label: ({ label }) => label ?? 'CustomJSON',
  identity: () => ({}),
  path: ({ path, optional }) => ({ path, optional }),
  line: (value, out) => {
    if (!Array.isArray(value)) throw new BadRow(`expected a list of messages, found ${kindOf(value)}`)
    if (value.length < 2) throw new BadRow(`expected at least 2 messages, found ${value.length}`)
    value.forEach((message: unknown, i) => {
      if (typeof message !== 'object' || message === null || Array.isArray(message))
        throw new BadRow(`message ${i} is ${kindOf(message)}, expected an object with role and content`)
      const { role, content } = message as { role?: unknown; content?: unknown }
      if (role === undefined) throw new BadRow(`message ${i} has no role`)
      if (content === undefined) throw new BadRow(`message ${i} has no content`)
      const expected = i % 2 === 0 ? 'user' : 'assistant'
      if (role !== expected) {
        const found = typeof role === 'string' ? quoted(role) : kindOf(role)
        throw new BadRow(
          `message ${i} is from ${found}, expected "${expected}" (roles alternate, the user first)`,
        )
      }
      if (typeof content !== 'string')
        throw new BadRow(`content of message ${i} is ${kindOf(content)}, expected a string`)
      out.beginMessage(roleOf[expected])
      // Lone surrogates (from \ud800 escapes) become U+FFFD here, as tiktoken makes them.
      out.appendString(content)
    })
  },
})

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
