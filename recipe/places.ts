/** Places in a recipe, and what stands there, as errors show them. */

export type Path = readonly (string | number)[]

export function valueAt(recipe: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, step) => (value as Record<string | number, unknown> | undefined)?.[step],
    recipe,
  )
}

/** `splits.train[0].stop`. */
export function shownPath(path: Path): string {
  const shown = path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${step === '' ? '""' : step}`))
    .join('')
    .replace(/^\./, '')
  return shown === '' ? 'the recipe' : shown.length > 200 ? `${shown.slice(0, 200)}…` : shown
}

export function shownValue(value: unknown): string {
  if (value === null) return 'empty (null)'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (typeof value === 'object') return 'a mapping'
  if (typeof value !== 'string') return String(value)
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value)
}
