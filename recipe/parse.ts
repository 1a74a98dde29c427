/** YAML → recipe. Every problem names the file, the line and the field, and for a misspelt name the nearest right one. */
import { type Document, LineCounter, parseDocument, parse as parseYaml } from 'yaml'
import type { z } from 'zod'
import { ShardmillError } from '../errors/index.ts'
import { nearest } from '../errors/nearest.ts'
import { type Recipe, recipeJsonSchema, recipeSchema } from './schema.ts'

type Path = readonly (string | number)[]

/** Parses a recipe's text. `settings` are `path=value` from the command line and win over the text. */
export function parseRecipe(text: string, file: string, settings: readonly string[] = []): Recipe {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true })
  const [broken] = document.errors
  if (broken !== undefined) {
    throw new ShardmillError('RECIPE', `is not YAML: ${broken.message}`, {
      at: { file, line: lines.linePos(broken.pos[0]).line },
    })
  }
  const value = document.toJS({ maxAliasCount: 100 }) as unknown
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ShardmillError('RECIPE', 'is empty or not a mapping; a recipe begins with `kind: sft`', {
      at: { file },
      hint: 'recipes/nanochat-sft.yaml is an example.',
    })
  }
  const set = new Set<string>()
  for (const setting of settings) set.add(applySetting(value as Record<string, unknown>, setting))

  const parsed = recipeSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = mostTelling(parsed.error.issues)
  const path = issue.path as Path
  const unknown = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined
  const full = unknown === undefined ? path : [...path, unknown]
  const shown = full
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`))
    .join('')
    .replace(/^\./, '')
  const fromSetting = [...set].some(
    (name) => shown === name || shown.startsWith(`${name}.`) || name.startsWith(`${shown}.`),
  )
  const line = fromSetting ? undefined : lineOf(document, full, lines)
  const { why, hint } = explain(issue, value, path, unknown)
  throw new ShardmillError(
    'RECIPE',
    `${shown === '' ? 'the recipe' : shown}: ${why}${fromSetting ? ' (from --set)' : ''}`,
    {
      at: { file, ...(line === undefined ? {} : { line }) },
      ...(hint === undefined ? {} : { hint }),
    },
  )
}

/** A union's issues nest; the misspelt field or wrong value inside says more than "invalid input". */
function mostTelling(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue {
  return issues.find((issue) => issue.code === 'unrecognized_keys') ?? issues[0]!
}

function explain(
  issue: z.core.$ZodIssue,
  recipe: unknown,
  path: Path,
  unknown: string | undefined,
): { why: string; hint?: string } {
  if (unknown !== undefined) {
    const fields = fieldsAt(recipe, path)
    const guess = nearest(unknown, fields)
    return {
      why: `unknown field${guess === undefined ? '' : `; did you mean \`${guess}\`?`}`,
      hint: `Fields here: ${fields.filter((name) => name !== '$schema').join(', ')}.`,
    }
  }
  const found = path.reduce<unknown>(
    (value, step) => (value as Record<string | number, unknown> | undefined)?.[step],
    recipe,
  )
  if (issue.code === 'invalid_union' && issue.discriminator !== undefined) {
    const names = discriminants(path)
    const given = (found as Record<string, unknown> | undefined)?.[issue.discriminator] ?? found
    const guess = typeof given === 'string' ? nearest(given, names) : undefined
    return {
      why: `${given === undefined ? 'is missing' : `is ${JSON.stringify(given)}`}, expected one of ${names.join(', ')}${guess === undefined ? '' : `; did you mean \`${guess}\`?`}`,
    }
  }
  if (issue.code === 'invalid_value') {
    const names = issue.values.map(String)
    const guess = typeof found === 'string' ? nearest(found, names) : undefined
    return {
      why: `${found === undefined ? 'is missing' : `is ${JSON.stringify(found)}`}, expected ${names.length === 1 ? names[0] : `one of ${names.join(', ')}`}${guess === undefined ? '' : `; did you mean \`${guess}\`?`}`,
    }
  }
  if (found === undefined) return { why: 'is missing' }
  return {
    why: `${issue.message.charAt(0).toLowerCase()}${issue.message.slice(1)}${typeof found === 'object' ? '' : ` (found ${JSON.stringify(found)})`}`,
  }
}

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly items?: JsonSchema
  readonly oneOf?: readonly JsonSchema[]
  readonly anyOf?: readonly JsonSchema[]
  readonly const?: unknown
}

function branches(schema: JsonSchema): readonly JsonSchema[] {
  return schema.oneOf ?? schema.anyOf ?? [schema]
}

/** The schema at a path; unions are decided by the constants (task, kind) that the value has. */
function schemaAt(value: unknown, path: Path): JsonSchema | undefined {
  let schema: JsonSchema | undefined = recipeJsonSchema() as JsonSchema
  let at: unknown = value
  for (const step of path) {
    at = (at as Record<string | number, unknown> | undefined)?.[step]
    schema = typeof step === 'number' ? schema?.items : schema?.properties?.[step]
    if (schema === undefined) return undefined
    const candidates = branches(schema)
    schema =
      candidates.find(({ properties = {} }) =>
        Object.entries(properties).every(
          ([name, { const: fixed }]) =>
            fixed === undefined || fixed === (at as Record<string, unknown> | undefined)?.[name],
        ),
      ) ?? candidates[0]
  }
  return schema
}

function fieldsAt(value: unknown, path: Path): string[] {
  return Object.keys(schemaAt(value, path)?.properties ?? {})
}

/** The values of the discriminating field (task, kind) at a path. */
function discriminants(path: Path): string[] {
  const parent = path.at(-1) === 'task' || path.at(-1) === 'kind' ? path.slice(0, -1) : path
  let schema: JsonSchema | undefined = recipeJsonSchema() as JsonSchema
  for (const step of parent) schema = typeof step === 'number' ? schema?.items : schema?.properties?.[step]
  return branches(schema ?? {}).flatMap(({ properties = {} }) =>
    Object.values(properties).flatMap(({ const: fixed }) => (typeof fixed === 'string' ? [fixed] : [])),
  )
}

function lineOf(document: Document, path: Path, lines: LineCounter): number | undefined {
  for (let length = path.length; length >= 0; length--) {
    const parent = length === 0 ? document.contents : document.getIn(path.slice(0, length - 1), true)
    const last = path[length - 1]
    const pair = (
      parent as { items?: { key?: { value?: unknown; range?: number[] } }[] } | null
    )?.items?.find?.((item) => item?.key?.value === last)
    const node =
      pair?.key ?? (document.getIn(path.slice(0, length), true) as { range?: number[] } | undefined)
    const start = node?.range?.[0]
    if (start !== undefined) return lines.linePos(start).line
  }
  return undefined
}

/** `splits.val[0].stop=100`: the value is YAML. Returns the path as errors show it. */
function applySetting(recipe: Record<string, unknown>, setting: string): string {
  const equals = setting.indexOf('=')
  const usage = (why: string) =>
    new ShardmillError('USAGE', `--set ${setting}: ${why}`, {
      hint: 'Write --set path=value, for example --set splits.val[1].stop=100 or --set maxSeqLen=1024.',
    })
  if (equals <= 0) throw usage('has no path=value')
  const steps = setting
    .slice(0, equals)
    .replace(/\[(\d+)\]/g, '.$1')
    .split('.')
    .filter((step) => step !== '')
  if (steps.length === 0 || steps.some((step) => step === '__proto__' || step === 'constructor'))
    throw usage('has no path')
  let value: unknown
  try {
    value = parseYaml(setting.slice(equals + 1))
  } catch {
    throw usage('the value is not YAML')
  }
  let at: unknown = recipe
  steps.slice(0, -1).forEach((step, i) => {
    const holder = at as Record<string, unknown>
    if (holder[step] === undefined && !Array.isArray(at)) holder[step] = {}
    at = holder[step]
    if (typeof at !== 'object' || at === null) throw usage(`${steps.slice(0, i + 1).join('.')} is not there`)
  })
  const last = steps.at(-1)!
  if (Array.isArray(at) && !(Number(last) < at.length)) throw usage(`the list has only ${at.length} entries`)
  ;(at as Record<string, unknown>)[last] = value
  return steps
    .map((step) => (/^\d+$/.test(step) ? `[${step}]` : `.${step}`))
    .join('')
    .replace(/^\./, '')
}
