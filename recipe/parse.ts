/** YAML → recipe. Every problem names the file, the line and the field, and for a misspelt name the nearest right one. */
import { type Document, LineCounter, parseDocument } from 'yaml'
import type { z } from 'zod'
import { ShardmillError } from '../errors/index.ts'
import { nearest } from '../errors/nearest.ts'
import { discriminants, expectedAt, fieldsAt } from './allowed.ts'
import { type Path, shownPath, shownValue, valueAt } from './places.ts'
import { type Recipe, recipeSchema } from './schema.ts'
import { applySetting } from './setting.ts'

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
  const holder = valueAt(recipe, path.at(-1) === field ? path.slice(0, -1) : path)
  const instead = nearest(field, Object.keys(holder ?? {}))
  return instead === undefined ? '' : ` (did you mean it by \`${instead}\`?)`
}

/** The fixed values among a union's branches. */
function valuesIn(branches: readonly (readonly z.core.$ZodIssue[])[]): string[] {
  return branches.flat().flatMap((issue) => (issue.code === 'invalid_value' ? issue.values.map(String) : []))
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
