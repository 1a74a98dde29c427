/**
 * JSON text as Python's `json.dump(value, indent=2)` writes it: ASCII only, no newline at the end. A Map is a dict: an
 * object would put names that are whole numbers before all others.
 */
export function pythonJson(value: unknown): string {
  return textOf(value, '\n').replace(/[\u007f-\uffff]/g, (char) =>
    char === '\u007f' ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** `line`: a newline and the indent of the line that the value stands in. */
function textOf(value: unknown, line: string): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const inner = `${line}  `
  const [open, close, items] = Array.isArray(value)
    ? ['[', ']', value.map((item) => textOf(item, inner))]
    : ['{', '}', membersOf(value, inner)]
  return items.length === 0 ? open + close : `${open}${inner}${items.join(`,${inner}`)}${line}${close}`
}

function membersOf(value: object, line: string): string[] {
  const entries: [string, unknown][] = value instanceof Map ? [...value] : Object.entries(value)
  return entries
    .filter(([, member]) => member !== undefined)
    .map(([name, member]) => `${JSON.stringify(name)}: ${textOf(member, line)}`)
}
