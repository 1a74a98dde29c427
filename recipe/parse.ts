/** YAML → recipe. Every problem names the file, the line and the field, and for a misspelt name the nearest right one. */
import { type Document, LineCounter, parseDocument, parse as parseYaml } from 'yaml'
import type { z } from 'zod'
import { ShardmillError } from '../errors/index.ts'
import { nearest } from '../errors/nearest.ts'
import { type Recipe, recipeJsonSchema, recipeSchema } from './schema.ts'

type Path = readonly (string | number)[]

/** Far more than any recipe has; a data file given by mistake is refused at once. */
const mostCharacters = 1 << 20

/** Parses a recipe's text. `settings` are `path=value` from the command line and win over the text. */
export function parseRecipe(text: string, file: string, settings: readonly string[] = []): Recipe {
  const lines = new LineCounter()
  const document = parseYamlText(text, file, lines)
  const value = toValue(document, file)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ShardmillError('RECIPE', 'is empty or not a mapping; a recipe begins with `kind: sft`', {
      at: { file },
      hint: 'recipes/nanochat-sft.yaml is an example.',
    })
  }
  const set = settings.map((setting) => applySetting(value as Record<string, unknown>, setting))

  const dropped = protoIn(value)
  if (dropped !== undefined && dropped.length > 1) {
    const line = lineOf(document, dropped, lines)
    throw new ShardmillError('RECIPE', `${shownPath(dropped)}: is no name`, {
      at: { file, ...(line === undefined ? {} : { line }) },
      hint: 'Choose another: it has a meaning of its own in JavaScript.',
    })
  }
  const parsed = recipeSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = mostTelling(parsed.error.issues)
  const path = issue.path as Path
  const unknown = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined
  const full = unknown === undefined ? path : [...path, unknown]
  const madeBySetting = set.find(({ made }) => made?.every((step, i) => step === String(full[i])))?.made
  const fromSetting =
    madeBySetting !== undefined ||
    set.some(({ steps }) => steps.every((step, i) => i >= full.length || step === String(full[i])))
  const line = fromSetting ? undefined : lineOf(document, full, lines)
  const { why, hint = madeBySetting && hintOf(value, full, madeBySetting) } = explain(
    issue,
    value,
    path,
    unknown,
  )
  throw new ShardmillError('RECIPE', `${shownPath(full)}: ${why}${fromSetting ? ' (from --set)' : ''}`, {
    at: { file, ...(line === undefined ? {} : { line }) },
    ...(hint === undefined ? {} : { hint }),
  })
}

/** Where a field is missing in what --set has made. */
function hintOf(recipe: unknown, path: Path, made: readonly string[]): string | undefined {
  if (valueAt(recipe, path) !== undefined) return undefined
  return `The recipe has no ${made.join('.')}: --set made it, with nothing but what it was given.`
}

function valueAt(recipe: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, step) => (value as Record<string | number, unknown> | undefined)?.[step],
    recipe,
  )
}

function parseYamlText(text: string, file: string, lines: LineCounter): Document {
  if (text.length > mostCharacters) {
    throw new ShardmillError(
      'RECIPE',
      `is ${text.length} characters long, expected a recipe (at most ${mostCharacters})`,
      { at: { file }, hint: 'Is this a data file? Name the recipe.' },
    )
  }
  const damaged = text.indexOf('\ufffd')
  if (damaged >= 0)
    throw new ShardmillError('RECIPE', 'is not UTF-8 text', {
      at: { file, line: text.slice(0, damaged).split('\n').length },
      hint: 'Save the recipe as UTF-8.',
    })
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
    logLevel: 'error',
  })
  // A tag that is not known (`!!js/function`) is a warning there, and its value would be taken as if it had none.
  const [broken] = [...document.errors, ...document.warnings]
  if (broken === undefined) return document
  const { line } = lines.linePos(broken.pos[0])
  const why: Partial<Record<string, string>> = {
    DUPLICATE_KEY: `the field \`${/^["']?([\w$.-]*)/.exec(text.slice(broken.pos[0]))?.[1] ?? ''}\` stands there twice`,
    MULTIPLE_DOCS: 'holds several documents (a line `---`), expected one',
  }
  const deep = /call stack/i.test(broken.message)
  throw new ShardmillError(
    'RECIPE',
    why[broken.code] ?? (deep ? 'is nested too deeply' : `is not YAML: ${broken.message}`),
    deep
      ? { at: { file }, hint: 'A recipe needs a handful of levels. Look for brackets that are never closed.' }
      : { at: { file, line } },
  )
}

function toValue(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 })
  } catch (error) {
    // An alias (`*name`) without its anchor, or aliases of aliases that would fill the memory.
    throw new ShardmillError('RECIPE', `is not usable YAML: ${(error as Error).message}`, {
      at: { file },
      hint: 'Write the values out instead of using `&` and `*`.',
    })
  }
}

/** Where a name is `__proto__`: the schema drops it without a word where names are free, as those of splits are. */
function protoIn(value: unknown): Path | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (Object.hasOwn(value, '__proto__')) return ['__proto__']
  for (const [name, inner] of Object.entries(value)) {
    const found = protoIn(inner)
    if (found !== undefined) return [Array.isArray(value) ? Number(name) : name, ...found]
  }
  return undefined
}

/** `splits.train[0].stop`. */
function shownPath(path: Path): string {
  const shown = path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${step === '' ? '""' : step}`))
    .join('')
    .replace(/^\./, '')
  return shown === '' ? 'the recipe' : shown.length > 200 ? `${shown.slice(0, 200)}…` : shown
}

/** A union's issues nest; the misspelt field or wrong value inside says more than "invalid input". */
function mostTelling(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue {
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]!
  if (issue.code !== 'invalid_union' || issue.discriminator !== undefined) return issue
  const inside = issue.errors.find((branch) =>
    branch.some((inner) => inner.path.length > 0 || inner.code === 'unrecognized_keys'),
  )
  if (inside === undefined) return issue
  const inner = mostTelling(inside)
  return { ...inner, path: [...issue.path, ...inner.path] }
}

function explain(
  issue: z.core.$ZodIssue,
  recipe: unknown,
  path: Path,
  unknown: string | undefined,
): { why: string; hint?: string } {
  if (unknown !== undefined) {
    const fields = fieldsAt(recipe, path).filter((name) => name !== '$schema')
    const guess = nearest(unknown, fields)
    return {
      why: `unknown field${guess === undefined ? '' : `; did you mean \`${guess}\`?`}`,
      hint: `Fields here: ${fields.join(', ')}.`,
    }
  }
  const at = valueAt(recipe, path)
  const byField = issue.code === 'invalid_union' ? issue.discriminator : undefined
  const inside = byField === undefined ? at : ((at as Record<string, unknown> | undefined)?.[byField] ?? at)
  const names =
    byField === undefined
      ? issue.code === 'invalid_value'
        ? issue.values.map(String)
        : []
      : discriminants(recipe, path, byField)
  const near = names.length > 0 || issue.code !== 'invalid_union' ? names : valuesIn(issue.errors)
  const guess = typeof inside === 'string' && near.length > 1 ? nearest(inside, near) : undefined
  if (issue.code === 'custom') return { why: issue.message }
  if (issue.code === 'invalid_format') return { why: `is ${shownValue(at)}, ${issue.message}` }
  const expected =
    names.length > 0
      ? names.length === 1
        ? names[0]
        : `one of ${names.join(', ')}`
      : expectedAt(recipe, path)
  const found =
    inside === undefined ? `is missing${misspeltAs(byField, recipe, path)}` : `is ${shownValue(inside)}`
  return {
    why: `${found}, expected ${expected}${guess === undefined ? '' : `; did you mean \`${guess}\`?`}`,
  }
}

/** The field that stands there in place of one that tells a union's branches apart. */
function misspeltAs(field: string | undefined, recipe: unknown, path: Path): string {
  if (field === undefined) return ''
  const holder = path
    .slice(0, path.at(-1) === field ? -1 : undefined)
    .reduce<unknown>((value, step) => (value as Record<string | number, unknown>)[step], recipe)
  const instead = nearest(field, Object.keys(holder ?? {}))
  return instead === undefined ? '' : ` (did you mean it by \`${instead}\`?)`
}

/** The fixed values among a union's branches. */
function valuesIn(branches: readonly (readonly z.core.$ZodIssue[])[]): string[] {
  return branches.flat().flatMap((issue) => (issue.code === 'invalid_value' ? issue.values.map(String) : []))
}

function shownValue(value: unknown): string {
  if (value === null) return 'empty (null)'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (typeof value === 'object') return 'a mapping'
  if (typeof value !== 'string') return String(value)
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value)
}

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

function fieldsAt(value: unknown, path: Path): string[] {
  const schema = schemaAt(value, path)
  const at = valueAt(value, path)
  return Object.keys((schema === undefined ? undefined : branchFor(schema, at))?.properties ?? {})
}

/** What may stand at a path, in words. */
function expectedAt(value: unknown, path: Path): string {
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
function discriminants(value: unknown, path: Path, field: string): string[] {
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

function lineOf(document: Document, path: Path, lines: LineCounter): number | undefined {
  for (let length = path.length; length >= 0; length--) {
    const parent = length === 0 ? document.contents : document.getIn(path.slice(0, length - 1), true)
    const last = path[length - 1]
    const pair = (
      parent as { items?: { key?: { value?: unknown; range?: number[] } }[] } | null
    )?.items?.find?.((item) => String(item?.key?.value ?? '') === String(last))
    const node =
      pair?.key ?? (document.getIn(path.slice(0, length), true) as { range?: number[] } | undefined)
    const start = node?.range?.[0]
    if (start !== undefined) return lines.linePos(start).line
  }
  return undefined
}

interface Applied {
  readonly steps: readonly string[]
  /** The steps to the outermost mapping that was not there before. */
  readonly made?: readonly string[]
}

/** `splits.val[0].stop=100`: the value is YAML. */
function applySetting(recipe: Record<string, unknown>, setting: string): Applied {
  const equals = setting.indexOf('=')
  const usage = (why: string) =>
    new ShardmillError(
      'USAGE',
      `--set ${setting.length > 200 ? `${setting.slice(0, 200)}…` : setting}: ${why}`,
      {
        hint: 'Write --set path=value, for example --set splits.val[1].stop=100 or --set maxSeqLen=1024.',
      },
    )
  if (equals <= 0) throw usage('has no path=value')
  const path = setting.slice(0, equals)
  // What stood in brackets keeps the first of them.
  const marked = path
    .replace(/\[(\d+)\]/g, '.[$1')
    .split('.')
    .filter((step) => step !== '')
  const steps = marked.map((step) => step.replace(/^\[/, ''))
  if (steps.length === 0 || steps.some((step) => ['__proto__', 'constructor', 'prototype'].includes(step)))
    throw usage('has no path')
  if (/[[\]]/.test(path.replace(/\[\d+\]/g, '')))
    throw usage('an index is a whole number in brackets, counted from 0')
  let value: unknown
  try {
    value = parseYaml(setting.slice(equals + 1), { logLevel: 'error' })
  } catch {
    throw usage('the value is not YAML')
  }
  let at: unknown = recipe
  let made: string[] | undefined
  const enter = (step: string, path: readonly string[]) => {
    if (!Array.isArray(at) || (/^\d+$/.test(step) && Number(step) < at.length))
      return at as Record<string, unknown>
    const entries =
      at.length === 1
        ? 'one entry, [0]'
        : at.length === 0
          ? 'no entries'
          : `${at.length} entries, [0] to [${at.length - 1}]`
    throw usage(
      `${path.length === 0 ? 'the recipe' : path.join('.')} has ${entries}, and no ${/^\d+$/.test(step) ? `[${step}]` : step}`,
    )
  }
  steps.slice(0, -1).forEach((step, i) => {
    const holder = enter(step, steps.slice(0, i))
    if (!Object.hasOwn(holder, step)) {
      if (marked[i + 1]!.startsWith('[')) throw usage(lacks(recipe, steps.slice(0, i), step))
      made ??= steps.slice(0, i + 1)
      holder[step] = {}
    }
    at = holder[step]
    if (typeof at !== 'object' || at === null)
      throw usage(`${steps.slice(0, i + 1).join('.')} is ${shownValue(at)}, which has no fields`)
  })
  enter(steps.at(-1)!, steps.slice(0, -1))[steps.at(-1)!] = value
  return { steps, ...(made === undefined ? {} : { made }) }
}

/** That there is no list of that name. */
function lacks(recipe: unknown, path: readonly string[], name: string): string {
  const place = path.map((step) => (/^\d+$/.test(step) ? Number(step) : step))
  const guess = nearest(name, fieldsAt(recipe, place))
  return `${path.length === 0 ? 'the recipe' : shownPath(place)} has no ${name}${guess === undefined ? '' : `; did you mean \`${guess}\`?`}`
}
