/** What may stand at a place of a recipe, as its JSON Schema says: for errors. */
import { type Path, valueAt } from './places.ts'
import { recipeJsonSchema } from './schema.ts'

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: JsonSchema | boolean
  readonly items?: JsonSchema
  readonly oneOf?: readonly JsonSchema[]
  readonly anyOf?: readonly JsonSchema[]
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly type?: string
  readonly minimum?: number
  readonly minLength?: number
  readonly minItems?: number
  readonly maximum?: number
}

function branches(schema: JsonSchema): readonly JsonSchema[] {
  return schema.oneOf ?? schema.anyOf ?? [schema]
}

/** The branch of a union that a value is meant for, as its constants (task, kind) and its type tell. */
function branchFor(schema: JsonSchema, value: unknown): JsonSchema | undefined {
  const candidates = branches(schema)
  const isMapping = typeof value === 'object' && value !== null && !Array.isArray(value)
  const fits = candidates.filter(({ properties = {} }) =>
    Object.entries(properties).every(
      ([name, { const: fixed }]) =>
        fixed === undefined || fixed === (value as Record<string, unknown> | undefined)?.[name],
    ),
  )
  return (isMapping ? fits.find(({ type }) => type === 'object') : undefined) ?? fits[0] ?? candidates[0]
}

/** The schema at a path, unions and all. */
function schemaAt(value: unknown, path: Path): JsonSchema | undefined {
  let schema: JsonSchema | undefined = recipeJsonSchema() as JsonSchema
  let at: unknown = value
  for (const step of path) {
    const branch: JsonSchema | undefined = schema === undefined ? undefined : branchFor(schema, at)
    at = (at as Record<string | number, unknown> | undefined)?.[step]
    const other: JsonSchema | undefined =
      typeof branch?.additionalProperties === 'object' ? branch.additionalProperties : undefined
    schema = typeof step === 'number' ? branch?.items : (branch?.properties?.[step] ?? other)
  }
  return schema
}

/** The names of the fields that may stand at a path. */
export function fieldsAt(value: unknown, path: Path): string[] {
  const schema = schemaAt(value, path)
  const at = valueAt(value, path)
  return Object.keys((schema === undefined ? undefined : branchFor(schema, at))?.properties ?? {})
}

/** What may stand at a path, in words. */
export function expectedAt(value: unknown, path: Path): string {
  const schema = schemaAt(value, path)
  return schema === undefined ? 'something else' : inWords(schema)
}

function inWords(schema: JsonSchema): string {
  if (schema.oneOf !== undefined || schema.anyOf !== undefined) {
    const decisive = constantsOf(branches(schema))
    if (decisive !== undefined)
      return `a mapping that begins with \`${decisive.field}: ${decisive.values.join('|')}\``
    return [...new Set(branches(schema).map(inWords))].join(' or ')
  }
  if (schema.enum !== undefined) return `one of ${schema.enum.join(', ')}`
  const { type, minimum = Number.MIN_SAFE_INTEGER, maximum = Number.MAX_SAFE_INTEGER } = schema
  switch (type) {
    case 'integer': {
      return minimum > Number.MIN_SAFE_INTEGER
        ? `a whole number from ${minimum} to ${maximum}`
        : 'a whole number'
    }
    case 'string':
      return schema.minLength === undefined ? 'a string' : 'a string (not empty)'
    case 'boolean':
      return 'true or false'
    case 'array':
      return schema.minItems === undefined ? 'a list' : 'a list with at least one entry'
    case 'object': {
      const fields = Object.keys(schema.properties ?? {})
      return fields.length === 0
        ? 'a mapping'
        : `a mapping with the fields ${fields.filter((name) => name !== '$schema').join(', ')}`
    }
    default:
      return type ?? 'something else'
  }
}

/** The values of the discriminating field (task, kind, format) at a path. */
export function discriminants(value: unknown, path: Path, field: string): string[] {
  const parent = path.at(-1) === field ? path.slice(0, -1) : path
  return constantsOf(branches(schemaAt(value, parent) ?? {}))?.values ?? []
}

/** The field (task, kind) whose constant tells the branches of a union apart. */
function constantsOf(of: readonly JsonSchema[]): { field: string; values: string[] } | undefined {
  const fixed = of.map(({ properties = {} }) =>
    Object.entries(properties).find(([, property]) => typeof property.const === 'string'),
  )
  const field = fixed[0]?.[0]
  if (field === undefined || fixed.some((entry) => entry?.[0] !== field)) return undefined
  return { field, values: fixed.map((entry) => String(entry![1].const)) }
}
