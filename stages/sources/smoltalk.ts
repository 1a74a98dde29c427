/**
 * SmolTalk: general conversations of the hub's `HuggingFaceTB/smol-smoltalk`, as they are.
 *
 *   {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}, …]}
 */
import type { ListColumn } from '../../parquet/columns.ts'
import { defineTableSource } from './define-source.ts'
import { type HubOptions, hubFields, hubOrigin } from './hub-fields.ts'
import { roleNames, writeMessages } from './messages-column.ts'

const roles = roleNames({ system: 'system', user: 'user', assistant: 'assistant' })

export const smoltalk = defineTableSource<HubOptions>({
  task: 'smoltalk',
  version: 1,
  about: 'HuggingFaceTB/smol-smoltalk: general multi-turn conversations',
  fields: hubFields,
  label: () => 'SmolTalk',
  identity: () => ({}),
  origin: (options) => hubOrigin(options, 'HuggingFaceTB/smol-smoltalk'),
  seed: ({ seed }) => seed,
  columns: () => ({
    messages: {
      kind: 'list',
      item: { kind: 'struct', fields: { role: { kind: 'string' }, content: { kind: 'string' } } },
    },
  }),
  rows: () => (batch, i, out) =>
    writeMessages(batch.columns['messages'] as ListColumn, i, 'role', 'content', roles, out),
})
