import { Damage } from './damage.ts'
import type { ThriftStruct } from './thrift.ts'

/**
 * A parquet schema as the tree of values it stands for. Parquet describes lists in several dialects and null-ness
 * in definition levels; here both are resolved once, so that nothing below has to know them.
 */
interface Place {
  /** From the definition level on which there is a slot for this value at all (its list has an item there). */
  readonly slot: number
  /** From the definition level on which the value is not null. */
  readonly present: number
  /** How many lists stand around this value: an entry with at most this repetition level starts a new slot. */
  readonly depth: number
}

export type LeafType = 'string' | 'int' | 'null' | 'other'

export interface LeafShape extends Place {
  readonly kind: 'leaf'
  readonly type: LeafType
  /** As an error message names it: `binary`, `timestamp`, … */
  readonly label: string
  /** Which of the file's physical columns. */
  readonly index: number
  readonly path: string
  readonly physical: number
  readonly unsigned: boolean
}
export interface ListShape extends Place {
  readonly kind: 'list'
  /** From the definition level on which an entry carries an item. */
  readonly itemLevel: number
  readonly item: Shape
}
export interface StructShape extends Place {
  readonly kind: 'struct'
  readonly map: boolean
  readonly fields: ReadonlyMap<string, Shape>
}
export type Shape = LeafShape | ListShape | StructShape

/** Physical types by parquet's numbers. */
export const physicalTypes = [
  'bool',
  'int32',
  'int64',
  'int96',
  'float',
  'double',
  'binary',
  'fixed_size_binary',
]
export const INT32 = 1
export const INT64 = 2
export const BYTE_ARRAY = 6

interface Node {
  readonly name: string
  readonly repetition: number
  readonly physical: number | undefined
  readonly converted: number | undefined
  readonly logical: number | undefined
  readonly unsigned: boolean
  readonly children: Node[]
}

const OPTIONAL = 1
const REPEATED = 2
const maxDepth = 64

/** Builds the tree from the footer's flat list of schema elements. */
export function readSchema(elements: readonly ThriftStruct[]): {
  root: StructShape
  leaves: readonly LeafShape[]
} {
  let next = 0
  function take(depth: number): Node {
    const element = elements[next++]
    if (element === undefined) throw new Damage('its schema is cut off')
    if (depth > maxDepth) throw new Damage('its schema is nested too deeply')
    const physical = element.number(1)
    const count = element.number(5) ?? 0
    if (count < 0 || count > elements.length) throw new Damage('its schema is cut off')
    const children: Node[] = []
    for (let i = 0; i < count; i++) children.push(take(depth + 1))
    const logical = element.struct(10)
    const converted = element.number(6)
    return {
      name: element.text(4) ?? '',
      repetition: depth === 0 ? 0 : (element.number(3) ?? 0),
      // A group says no physical type; an empty group is still a group.
      physical: children.length === 0 && element.fields[1] !== undefined ? physical : undefined,
      converted,
      logical: logical?.fields.findIndex((value) => value !== undefined),
      unsigned:
        logical?.struct(10)?.flag(2) === false ||
        (converted !== undefined && converted >= 11 && converted <= 14),
      children,
    }
  }
  const tree = take(0)
  if (next !== elements.length) throw new Damage('its schema has elements outside the tree')
  const leaves: LeafShape[] = []
  const root = group(tree, { slot: 0, present: 0, depth: 0 }, [], leaves)
  return { root, leaves }
}

/** A node with its own repetition: a repeated one outside a list annotation is a list of its own. */
function shape(node: Node, around: Place, path: readonly string[], leaves: LeafShape[]): Shape {
  path = [...path, node.name]
  if (node.repetition === REPEATED) {
    const itemLevel = around.present + 1
    const item = once(node, { slot: itemLevel, present: itemLevel, depth: around.depth + 1 }, path, leaves)
    return { kind: 'list', slot: around.slot, present: around.present, depth: around.depth, itemLevel, item }
  }
  const present = around.present + (node.repetition === OPTIONAL ? 1 : 0)
  return once(node, { slot: around.slot, present, depth: around.depth }, path, leaves)
}

/** A node whose own repetition is already in `place`. */
function once(node: Node, place: Place, path: readonly string[], leaves: LeafShape[]): Shape {
  if (node.physical !== undefined) {
    const leaf = leafShape(node, place, path, leaves.length)
    leaves.push(leaf)
    return leaf
  }
  const isList = node.converted === 3 || node.logical === 3
  const repeated = node.children[0]
  if (isList && node.children.length === 1 && repeated?.repetition === REPEATED) {
    return list(node, repeated, place, path, leaves)
  }
  return group(node, place, path, leaves)
}

/**
 * The list dialects, as parquet's LogicalTypes.md resolves them (and Arrow with it): a repeated leaf, or a repeated
 * group of several fields, or one named `array` or `<list>_tuple`, is the item; any other repeated group only
 * wraps it, whatever its name and the item's.
 */
function list(
  node: Node,
  repeated: Node,
  place: Place,
  path: readonly string[],
  leaves: LeafShape[],
): ListShape {
  const itemLevel = place.present + 1
  const inside = { slot: itemLevel, present: itemLevel, depth: place.depth + 1 }
  const innerPath = [...path, repeated.name]
  const wraps =
    repeated.physical === undefined &&
    repeated.children.length === 1 &&
    repeated.name !== 'array' &&
    repeated.name !== `${node.name}_tuple`
  const item = wraps
    ? shape(repeated.children[0]!, inside, innerPath, leaves)
    : once(repeated, inside, innerPath, leaves)
  return { kind: 'list', ...place, itemLevel, item }
}

function group(node: Node, place: Place, path: readonly string[], leaves: LeafShape[]): StructShape {
  const fields = new Map<string, Shape>()
  for (const child of node.children) {
    const field = shape(child, place, path, leaves)
    // Of two columns of one name the first counts.
    if (!fields.has(child.name)) fields.set(child.name, field)
  }
  return { kind: 'struct', ...place, map: node.converted === 1 || node.logical === 2, fields }
}

// Converted types (parquet.thrift's ConvertedType) that tell nothing but how wide an integer is: UINT_8 to INT_64.
const isIntConverted = (converted: number) => converted >= 11 && converted <= 18

function leafShape(node: Node, place: Place, path: readonly string[], index: number): LeafShape {
  const physical = node.physical!
  const { logical, converted } = node
  let type: LeafType = 'other'
  let label = physicalTypes[physical] ?? `physical type ${physical}`
  const plain = logical === undefined && converted === undefined
  if (logical === 11) {
    type = 'null'
    label = 'null'
  } else if (physical === BYTE_ARRAY) {
    // STRING, ENUM and JSON are UTF-8 by the format; the converted types 0, 4 and 19 are their older names.
    const text =
      logical === 1 ||
      logical === 4 ||
      logical === 12 ||
      converted === 0 ||
      converted === 4 ||
      converted === 19
    if (text) {
      type = 'string'
      label = 'string'
    }
  } else if (physical === INT32 || physical === INT64) {
    if (plain || logical === 10 || (logical === undefined && isIntConverted(converted!))) {
      type = 'int'
      label = `${node.unsigned ? 'u' : ''}int${physical === INT32 ? 32 : 64}`
    }
  }
  if (type === 'other')
    label = logicalLabels.get(logical ?? -1) ?? convertedLabels.get(converted ?? -1) ?? label
  return {
    kind: 'leaf',
    ...place,
    type,
    label,
    index,
    path: path.join('.'),
    physical,
    unsigned: node.unsigned,
  }
}

const logicalLabels = new Map([
  [5, 'decimal'],
  [6, 'date'],
  [7, 'time'],
  [8, 'timestamp'],
  [13, 'bson'],
  [14, 'uuid'],
  [15, 'float16'],
])
const convertedLabels = new Map([
  [5, 'decimal'],
  [6, 'date'],
  [7, 'time'],
  [8, 'time'],
  [9, 'timestamp'],
  [10, 'timestamp'],
  [20, 'bson'],
  [21, 'interval'],
])

/** As people write types: `list<struct<role: string, content: string>>`. */
export function describeShape(shape: Shape): string {
  if (shape.kind === 'leaf') return shape.label
  if (shape.kind === 'list') return `list<${describeShape(shape.item)}>`
  if (shape.map) return 'map'
  return `struct<${[...shape.fields].map(([name, field]) => `${name}: ${describeShape(field)}`).join(', ')}>`
}
