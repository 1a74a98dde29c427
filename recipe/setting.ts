/** `--set path=value`: a field of the recipe, from the command line. */
import { parse as parseYaml } from 'yaml'
import { ShardmillError } from '../errors/index.ts'
import { nearest } from '../errors/nearest.ts'
import { fieldsAt } from './allowed.ts'
import { shownPath, shownValue } from './places.ts'

export interface Applied {
  readonly steps: readonly string[]
  /** The steps to the outermost mapping that was not there before. */
  readonly made?: readonly string[]
}

/** `splits.val[0].stop=100`: the value is YAML. */
export function applySetting(recipe: Record<string, unknown>, setting: string): Applied {
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
