/** Rows of a JSON-lines table → the columns a source asks for, so that sources know one layout only. */
import { saysNothing } from '../parquet/assemble.ts'
import type { Column, ColumnBatch, ColumnType } from '../parquet/columns.ts'

interface JsonRow {
  readonly line: number
  readonly row: number
  readonly value?: unknown
  readonly error?: string
}

/** Rows that do not fit the columns are listed in `badRows`, with the reason. */
export function batchOfObjects(
  rows: readonly JsonRow[],
  types: Readonly<Record<string, ColumnType>>,
): ColumnBatch {
  const badRows = new Map<number, string>()
  const objects = rows.map(({ value, error }, i) => {
    if (error !== undefined) badRows.set(i, error)
    else if (typeof value !== 'object' || value === null || Array.isArray(value))
      badRows.set(i, `expected an object, found ${kindOf(value)}`)
    else return value as Record<string, unknown>
    return undefined
  })
  const columns: Record<string, Column> = {}
  for (const [name, type] of Object.entries(types)) {
    const owners = objects.map((_, i) => i)
    const values = objects.map((object, i) => {
      if (object === undefined) return null
      if (Object.hasOwn(object, name)) return object[name] ?? null
      badRows.set(i, `no field ${JSON.stringify(name)}; there are: ${fieldsOf(object)}`)
      return null
    })
    columns[name] = columnOf(values, owners, type, name, badRows)
  }
  return { firstRow: rows[0]?.row ?? 0, rows: rows.length, columns, badRows }
}

function columnOf(
  values: readonly unknown[],
  owners: readonly number[],
  type: ColumnType,
  path: string,
  badRows: Map<number, string>,
): Column {
  const length = values.length
  const valid = new Uint8Array(length)
  const wrong = (i: number, expected: string) => {
    const owner = owners[i]!
    if (!badRows.has(owner)) badRows.set(owner, `${path} is ${kindOf(values[i])}, expected ${expected}`)
  }
  if (type.kind === 'string') {
    const texts = values.map((value, i) => {
      if (value === null || value === undefined) return ''
      if (typeof value !== 'string') {
        wrong(i, 'a string')
        return ''
      }
      valid[i] = 1
      return value
    })
    const bytes = Buffer.from(texts.join(''))
    const offsets = new Int32Array(length + 1)
    // Joining could pair a lone surrogate at one text's end with the next one's start; then encode one by one.
    const lengths = texts.map((text) => Buffer.byteLength(text))
    const total = lengths.reduce((sum, n) => sum + n, 0)
    const data = total === bytes.length ? bytes : Buffer.concat(texts.map((text) => Buffer.from(text)))
    for (let i = 0; i < length; i++) offsets[i + 1] = offsets[i]! + lengths[i]!
    return { kind: 'string', length, offsets, bytes: data, valid }
  }
  if (type.kind === 'int') {
    const numbers = new Float64Array(length)
    values.forEach((value, i) => {
      if (value === null || value === undefined) return
      if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
        wrong(i, 'an integer')
        return
      }
      valid[i] = 1
      numbers[i] = value
    })
    return { kind: 'int', length, values: numbers, valid }
  }
  if (type.kind === 'list') {
    const offsets = new Int32Array(length + 1)
    const items: unknown[] = []
    const itemOwners: number[] = []
    values.forEach((value, i) => {
      if (Array.isArray(value)) {
        valid[i] = 1
        for (const item of value) {
          items.push(item)
          itemOwners.push(owners[i]!)
        }
      } else if (value !== null && value !== undefined) wrong(i, 'a list')
      offsets[i + 1] = items.length
    })
    return {
      kind: 'list',
      length,
      offsets,
      item: columnOf(items, itemOwners, type.item, `an entry of ${path}`, badRows),
      valid,
    }
  }
  const objects = values.map((value, i) => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      valid[i] = 1
      return value as Record<string, unknown>
    }
    if (value !== null && value !== undefined) wrong(i, 'an object')
    return {}
  })
  const fields = Object.fromEntries(
    Object.entries(type.fields).map(([name, field]) => {
      const inner = objects.map((object, i) => {
        if (Object.hasOwn(object, name)) return object[name] ?? null
        const owner = owners[i]!
        if (valid[i] === 1 && !badRows.has(owner)) {
          badRows.set(owner, `${path} has no field ${JSON.stringify(name)}; there are: ${fieldsOf(object)}`)
        }
        return null
      })
      return [name, columnOf(inner, owners, field, `${name} of ${path}`, badRows)]
    }),
  )
  const filled = filledOf(objects, type.watched ?? [])
  return { kind: 'struct', length, fields, ...(filled && { filled }), valid }
}

function filledOf(
  objects: readonly Record<string, unknown>[],
  watched: readonly string[],
): ReadonlyMap<string, Uint8Array> | undefined {
  let filled: Map<string, Uint8Array> | undefined
  for (const name of watched) {
    let marks: Uint8Array | undefined
    objects.forEach((object, i) => {
      if (!Object.hasOwn(object, name) || !holdsSomething(object[name])) return
      marks ??= new Uint8Array(objects.length)
      marks[i] = 1
    })
    if (marks === undefined) continue
    filled ??= new Map()
    filled.set(name, marks)
  }
  return filled
}

/** As the parquet reader says it of watched fields. A loop, since values may be nested without measure. */
function holdsSomething(value: unknown): boolean {
  const open = [value]
  for (const one of open) {
    if (typeof one === 'string') {
      if (!saysNothing(one)) return true
    } else if (Array.isArray(one)) {
      if (one.length > 0) return true
    } else if (typeof one === 'object' && one !== null)
      for (const field of Object.values(one)) open.push(field)
  }
  return false
}

/** A row's field names for an error, few and short. */
function fieldsOf(object: Record<string, unknown>): string {
  const names = Object.keys(object)
    .slice(0, 12)
    .map((name) => (name.length > 40 ? `${name.slice(0, 37)}...` : name))
  return names.join(', ') || 'none'
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
