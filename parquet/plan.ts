import { ShardmillError } from '../errors/index.ts'
import type { ColumnType } from './columns.ts'
import { describeShape, type LeafShape, type ListShape, type Shape, type StructShape } from './schema.ts'

/** What to read for one asked column: the asked type with the file's shape beside it. */
export type Plan =
  | { readonly kind: 'string' | 'int'; readonly shape: LeafShape; readonly label: string }
  | { readonly kind: 'list'; readonly shape: ListShape; readonly item: Plan }
  | {
      readonly kind: 'struct'
      readonly shape: StructShape
      readonly fields: readonly (readonly [string, Plan])[]
      readonly watched: readonly (readonly [string, Watched])[]
    }

/** What to read to know whether there is something in a value: of a list the levels of one column below it. */
export type Watched =
  | { readonly kind: 'string'; readonly shape: LeafShape }
  | { readonly kind: 'list'; readonly shape: ListShape; readonly witness: LeafShape }
  | { readonly kind: 'struct'; readonly fields: readonly Watched[] }

/**
 * Finds the asked columns in the file's schema; fields that nobody asked for are left out. Errors name the file,
 * the column, what was expected, what was found and what there is: NOT_FOUND for a missing column, BAD_FILE for
 * one of another type.
 */
export function planColumns(
  file: string,
  root: StructShape,
  columns: Readonly<Record<string, ColumnType>>,
): ReadonlyMap<string, Plan> {
  const plans = new Map<string, Plan>()
  for (const [name, type] of Object.entries(columns)) {
    const shape = root.fields.get(name)
    if (shape === undefined) throw missing(file, 'column', name, type, root)
    plans.set(name, match(file, name, type, shape))
  }
  return plans
}

function match(file: string, label: string, type: ColumnType, shape: Shape): Plan {
  if (type.kind === 'list' && shape.kind === 'list') {
    return { kind: 'list', shape, item: match(file, label, type.item, shape.item) }
  }
  if (type.kind === 'struct' && shape.kind === 'struct' && !shape.map) {
    const fields = Object.entries(type.fields).map(([name, field]) => {
      const found = shape.fields.get(name)
      if (found === undefined) throw missing(file, `column "${label}" has no field`, name, field, shape)
      return [name, match(file, `${label}.${name}`, field, found)] as const
    })
    if (fields.length === 0) throw new TypeError(`a struct without fields was asked for (${label})`)
    const watched = (type.watched ?? []).flatMap((name) => {
      const found = watch(shape.fields.get(name))
      return found === undefined ? [] : [[name, found] as const]
    })
    return { kind: 'struct', shape, fields, watched }
  }
  if ((type.kind === 'string' || type.kind === 'int') && shape.kind === 'leaf') {
    // A column of nothing but nulls has no type of its own.
    if (shape.type === type.kind || shape.type === 'null') return { kind: type.kind, shape, label }
  }
  throw new ShardmillError(
    'BAD_FILE',
    `column "${label}" is ${describeShape(shape)}, but ${describeType(type)} was expected.`,
    { at: { file }, hint: 'Map another column in the recipe, or choose another data set, subset or file.' },
  )
}

/** Undefined where there is nothing that could hold something. */
function watch(shape: Shape | undefined): Watched | undefined {
  if (shape === undefined) return undefined
  if (shape.kind === 'leaf') return shape.type === 'string' ? { kind: 'string', shape } : undefined
  if (shape.kind === 'list') {
    const below = leavesBelow(shape.item)
    const witness = below.find(({ type }) => type === 'string') ?? below.find(({ type }) => type === 'int')
    return witness === undefined ? undefined : { kind: 'list', shape, witness }
  }
  const fields = [...shape.fields.values()].flatMap((field) => watch(field) ?? [])
  return fields.length === 0 ? undefined : { kind: 'struct', fields }
}

function leavesBelow(shape: Shape): LeafShape[] {
  if (shape.kind === 'leaf') return [shape]
  if (shape.kind === 'list') return leavesBelow(shape.item)
  return [...shape.fields.values()].flatMap(leavesBelow)
}

function missing(
  file: string,
  what: string,
  name: string,
  type: ColumnType,
  around: StructShape,
): ShardmillError {
  const names = [...around.fields.keys()]
  const exist = names.length === 0 ? 'There are none.' : `There are: ${names.slice(0, 50).join(', ')}.`
  const why =
    what === 'column'
      ? `column "${name}" (${describeType(type)}) is missing. ${exist}`
      : `${what} "${name}" (${describeType(type)}). ${exist}`
  return new ShardmillError('NOT_FOUND', why, {
    at: { file },
    hint: 'Name the right column in the recipe, or choose another data set, subset or file.',
    details: { column: name, columns: names.slice(0, 1000) },
  })
}

/** As people write types: `list<struct<role: string, content: string>>`. */
export function describeType(type: ColumnType): string {
  if (type.kind === 'list') return `list<${describeType(type.item)}>`
  if (type.kind !== 'struct') return type.kind
  return `struct<${Object.entries(type.fields)
    .map(([name, field]) => `${name}: ${describeType(field)}`)
    .join(', ')}>`
}

/** The physical columns that a plan needs. */
export function leavesOf(plan: Plan, found: LeafShape[] = []): LeafShape[] {
  if (plan.kind === 'list') leavesOf(plan.item, found)
  else if (plan.kind === 'struct') {
    for (const [, field] of plan.fields) leavesOf(field, found)
    for (const [, field] of plan.watched) watchedLeaves(field, found)
  } else found.push(plan.shape)
  return found
}

function watchedLeaves(watched: Watched, found: LeafShape[]): void {
  if (watched.kind === 'struct') for (const field of watched.fields) watchedLeaves(field, found)
  else found.push(watched.kind === 'list' ? watched.witness : watched.shape)
}
