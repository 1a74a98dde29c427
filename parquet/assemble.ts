import { isUtf8 } from 'node:buffer'
import type { Column } from './columns.ts'
import { Damage } from './damage.ts'
import type { LeafRows } from './leaf.ts'
import { leavesOf, type Plan, type Watched } from './plan.ts'
import type { LeafShape, ListShape, StructShape } from './schema.ts'

/**
 * From levels to structure (the Dremel encoding read backwards): each list's offsets and each value's presence
 * are in the levels of any physical column below it, and must be the same in all of them.
 */
export function assemble(
  plan: Plan,
  rows: number,
  leaves: ReadonlyMap<number, LeafRows>,
  badRows: Map<number, string>,
): Column {
  const column = build(plan, leaves, badRows)
  if (column.length !== rows) throw new Damage(`${column.length} rows, where there must be ${rows}`)
  return column
}

function build(plan: Plan, leaves: ReadonlyMap<number, LeafRows>, badRows: Map<number, string>): Column {
  switch (plan.kind) {
    case 'string': {
      const leaf = leaves.get(plan.shape.index)!
      const { slots: length, offsets, bytes, valid } = leaf
      checkUtf8(leaf, plan.shape, plan.label, badRows)
      return { kind: 'string', length, offsets, bytes, ...(valid && { valid }) }
    }
    case 'int': {
      const { slots, values, valid } = leaves.get(plan.shape.index)!
      return {
        kind: 'int',
        length: slots,
        // A column without a type has neither.
        values: values.length === slots ? values : new Float64Array(slots),
        ...(valid && { valid }),
      }
    }
    case 'list': {
      const item = build(plan.item, leaves, badRows)
      const witnesses = leavesOf(plan.item).map((shape) => leaves.get(shape.index)!)
      const list = listOf(witnesses[0]!, plan.shape)
      for (let i = 1; i < witnesses.length; i++) requireEqual(list, listOf(witnesses[i]!, plan.shape))
      const length = list.offsets.length - 1
      if (item.length !== list.offsets[length]) throw disagreement()
      return { kind: 'list', length, offsets: list.offsets, item, ...(list.valid && { valid: list.valid }) }
    }
    case 'struct': {
      const fields: Record<string, Column> = {}
      for (const [name, field] of plan.fields) {
        Object.defineProperty(fields, name, {
          value: build(field, leaves, badRows),
          enumerable: true,
          configurable: true,
          writable: true,
        })
      }
      const witnesses = leavesOf(plan).map((shape) => leaves.get(shape.index)!)
      const { length, valid } = presence(witnesses[0]!, plan.shape)
      for (const field of Object.values(fields)) if (field.length !== length) throw disagreement()
      const filled = filledOf(plan.watched, length, leaves)
      return { kind: 'struct', length, fields, ...(filled && { filled }), ...(valid && { valid }) }
    }
  }
}

function filledOf(
  watched: readonly (readonly [string, Watched])[],
  length: number,
  leaves: ReadonlyMap<number, LeafRows>,
): ReadonlyMap<string, Uint8Array> | undefined {
  let filled: Map<string, Uint8Array> | undefined
  for (const [name, field] of watched) {
    const marks = new Uint8Array(length)
    if (!mark(field, marks, leaves)) continue
    filled ??= new Map()
    filled.set(name, marks)
  }
  return filled
}

/** Whether a text is JSON for nothing: some datasets keep lists and objects as texts. */
export function saysNothing(text: string): boolean {
  return text === '' || text === '[]' || text === '{}' || text === 'null'
}

/** Sets 1 where the value holds something; true when it does anywhere. */
function mark(watched: Watched, marks: Uint8Array, leaves: ReadonlyMap<number, LeafRows>): boolean {
  let any = false
  if (watched.kind === 'struct') {
    for (const field of watched.fields) if (mark(field, marks, leaves)) any = true
    return any
  }
  const texts = watched.kind === 'list' ? undefined : leaves.get(watched.shape.index)!
  const { offsets } =
    watched.kind === 'list' ? listOf(leaves.get(watched.witness.index)!, watched.shape) : texts!
  if (offsets.length !== marks.length + 1) throw disagreement()
  for (let i = 0; i < marks.length; i++) {
    const [from, to] = [offsets[i]!, offsets[i + 1]!]
    if (from === to) continue
    if (texts !== undefined && to - from <= 4) {
      if (saysNothing(Buffer.from(texts.bytes.subarray(from, to)).toString('latin1'))) continue
    }
    marks[i] = 1
    any = true
  }
  return any
}

interface ListLevels {
  readonly offsets: Int32Array
  readonly valid: Uint8Array | undefined
}

function listOf(leaf: LeafRows, shape: ListShape): ListLevels {
  const { slot, present, depth, itemLevel } = shape
  const { entries } = leaf
  // Below a list there are levels of both kinds.
  const repetition = leaf.repetition!
  const definition = leaf.definition!
  const offsets = new Int32Array(entries + 1)
  let valid: Uint8Array | undefined
  let lists = 0
  let items = 0
  for (let i = 0; i < entries; i++) {
    const repeat = repetition[i]!
    if (repeat > depth + 1) continue
    const level = definition[i]!
    if (repeat <= depth) {
      if (level < slot) continue
      if (level < present) {
        valid ??= new Uint8Array(entries).fill(1)
        valid[lists] = 0
      }
      offsets[lists++] = items
      if (level >= itemLevel) items++
    } else {
      // A further item: there must be one, in a list that has begun.
      if (level < itemLevel || lists === 0) throw new Damage('its levels contradict each other')
      items++
    }
  }
  offsets[lists] = items
  return { offsets: offsets.subarray(0, lists + 1), valid: valid?.subarray(0, lists) }
}

function presence(leaf: LeafRows, shape: StructShape): { length: number; valid: Uint8Array | undefined } {
  const { slot, present, depth } = shape
  const { entries, repetition, definition } = leaf
  if (definition === undefined) return { length: entries, valid: undefined }
  let valid: Uint8Array | undefined
  let length = 0
  for (let i = 0; i < entries; i++) {
    if (repetition !== undefined && repetition[i]! > depth) continue
    const level = definition[i]!
    if (level < slot) continue
    if (level < present) {
      valid ??= new Uint8Array(entries).fill(1)
      valid[length] = 0
    }
    length++
  }
  return { length, valid: valid?.subarray(0, length) }
}

function requireEqual(one: ListLevels, other: ListLevels): void {
  if (one.offsets.length !== other.offsets.length) throw disagreement()
  for (let i = 0; i < one.offsets.length; i++) {
    if (one.offsets[i] !== other.offsets[i]) throw disagreement()
  }
  if ((one.valid === undefined) !== (other.valid === undefined)) throw disagreement()
  if (one.valid === undefined) return
  for (let i = 0; i < one.valid.length; i++) if (one.valid[i] !== other.valid![i]) throw disagreement()
}

function disagreement(): Damage {
  return new Damage('the physical columns of one list or struct disagree on its structure')
}

/** Every value must be UTF-8 by itself: all bytes together are, and none begins within a character. */
function checkUtf8(leaf: LeafRows, shape: LeafShape, label: string, badRows: Map<number, string>): void {
  const { slots, offsets, bytes } = leaf
  let sound = isUtf8(bytes)
  for (let i = 0; i < slots && sound; i++) sound = (bytes[offsets[i]!]! & 0xc0) !== 0x80
  if (sound) return
  let entry = -1
  let row = -1
  for (let i = 0; i < slots; i++) {
    // The slot's entry, to know its row.
    do {
      entry++
      if (leaf.repetition === undefined || leaf.repetition[entry] === 0) row++
    } while (leaf.definition !== undefined && leaf.definition[entry]! < shape.slot)
    const value = bytes.subarray(offsets[i]!, offsets[i + 1]!)
    if (isUtf8(value)) continue
    value.fill(63)
    if (!badRows.has(row)) badRows.set(row, `"${label}" is not valid UTF-8.`)
  }
}
