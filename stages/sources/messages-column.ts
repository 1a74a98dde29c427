/** A column of messages (list<struct<role, content>>) to a conversation, with the reference's checks. */
import type { Column, ListColumn, StringColumn, StructColumn } from '../../parquet/columns.ts'
import { type ConversationWriter, roleOf } from '../conversations.ts'
import { BadRow } from './define-source.ts'

export const messageRoles = ['system', 'user', 'assistant'] as const

/** A string's bytes against ASCII names without making a string. Returns the index of the name, or -1. */
export function matchName(column: StringColumn, i: number, names: readonly Uint8Array[]): number {
  const start = column.offsets[i]!
  const length = column.offsets[i + 1]! - start
  next: for (let n = 0; n < names.length; n++) {
    const name = names[n]!
    if (name.length !== length) continue
    for (let k = 0; k < length; k++) if (name[k] !== column.bytes[start + k]) continue next
    return n
  }
  return -1
}

export function isNull(column: Column, i: number): boolean {
  return column.valid !== undefined && column.valid[i] === 0
}

export function textAt(column: StringColumn, i: number): string {
  return Buffer.from(
    column.bytes.buffer,
    column.bytes.byteOffset + column.offsets[i]!,
    column.offsets[i + 1]! - column.offsets[i]!,
  ).toString('utf8')
}

/** Shortens and makes printable what an error quotes from data. */
export function quoted(text: string): string {
  const short = text.length > 60 ? `${text.slice(0, 57)}...` : text
  return JSON.stringify(short).replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

export interface RoleNames {
  /** UTF-8 names; `meaning[k]` is the role (0 system, 1 user, 2 assistant) of `names[k]`. */
  readonly names: readonly Uint8Array[]
  readonly meaning: readonly number[]
}

export function roleNames(map: Readonly<Record<string, 'system' | 'user' | 'assistant'>>): RoleNames {
  const keys = Object.keys(map)
  return {
    names: keys.map((key) => new TextEncoder().encode(key)),
    meaning: keys.map((key) => roleOf[map[key]!]),
  }
}

/** `"human" or "user"`: how the data may call a role. */
function namesOf({ names, meaning }: RoleNames, role: number): string {
  return names
    .filter((_, k) => meaning[k] === role)
    .map((name) => quoted(Buffer.from(name).toString('utf8')))
    .join(' or ')
}

/** What a message can hold beside its content, under the names in use. A template gets role and content only. */
export const unrendered: readonly string[] = [
  'tool_calls',
  'function_call',
  'function_calls',
  'reasoning_content',
  'reasoning',
  'thinking',
]

/** Refuses list `i` of `messages` if a message holds more than its content: it would be lost without a word. */
export function refuseUnrendered(messages: ListColumn, i: number): void {
  const { filled } = messages.item as StructColumn
  if (filled === undefined) return
  const first = messages.offsets[i]!
  for (let m = first; m < messages.offsets[i + 1]!; m++) {
    for (const [name, marks] of filled) {
      if (marks[m] === 0) continue
      throw new BadRow(
        `message ${m - first} has ${name} beside its content, expected all of it in the content (no template renders ${name})`,
        `Prepare the data so that each message is its role and content (${name} empty or as text in the content), or set onBadRow: quarantine in the recipe to set such rows aside and count them.`,
      )
    }
  }
}

/**
 * Writes list `i` of `messages` as a conversation. As nanochat's SmolTalk task checks: at least one message;
 * without an optional leading system message at least two; then user, assistant, user, … in turn.
 */
export function writeMessages(
  messages: ListColumn,
  i: number,
  roleField: string,
  contentField: string,
  roles: RoleNames,
  out: ConversationWriter,
): void {
  if (isNull(messages, i)) throw new BadRow('messages is null, expected a list of messages')
  const first = messages.offsets[i]!
  const end = messages.offsets[i + 1]!
  if (first === end) throw new BadRow('messages is empty, expected at least a user message and an answer')
  const item = messages.item
  if (item.kind !== 'struct') throw new TypeError('messages must be a list of structs')
  const role = item.fields[roleField] as StringColumn
  const content = item.fields[contentField] as StringColumn
  let turn = 0
  for (let m = first; m < end; m++) {
    const which = matchName(role, m, roles.names)
    const meaning = which < 0 ? -1 : roles.meaning[which]!
    const leadingSystem = m === first && meaning === 0
    if (!leadingSystem) {
      const expected = turn % 2 === 0 ? 1 : 2
      if (meaning !== expected) {
        const found = isNull(role, m) ? 'null' : quoted(textAt(role, m))
        throw new BadRow(
          `message ${m - first} is from ${found}, expected ${namesOf(roles, expected)} (roles alternate, the user first, after an optional system message)`,
        )
      }
      turn++
    }
    if (isNull(content, m)) throw new BadRow(`message ${m - first} has no content (null), expected a string`)
    out.beginMessage(meaning)
    out.append(content.bytes, content.offsets[m]!, content.offsets[m + 1]!)
  }
  if (turn < 2)
    throw new BadRow(
      `${turn === 0 ? 'only a system message' : 'one message'}, expected at least a user message and an answer`,
    )
}
