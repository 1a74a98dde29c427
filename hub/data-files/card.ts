/** The YAML header of a dataset's README ("dataset card"), read as `huggingface_hub` reads it. */
import { parseDocument, type Tags } from 'yaml'
import { ShardmillError } from '../../errors/index.ts'

// Python's `\s`, which unlike JavaScript's knows U+001C–U+001F and U+0085, and not U+FEFF.
const SPACE =
  '[ \\t\\n\\r\\f\\v\\x1c-\\x1f\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]*'
const HEADER = new RegExp(`^${SPACE}---(?:\\r\\n|\\r|\\n)([^]*?)(?:\\r\\n|\\r|\\n)---[ \\t]*(?:\\r\\n|\\n|$)`)

/**
 * The header as plain data; `{}` for a README without one.
 * Values follow YAML 1.1, as PyYAML reads them (`no` is false), and of a key given twice the last one counts.
 *
 * @throws ShardmillError BAD_FILE when the header is no YAML or no mapping
 */
export function readCard(readme: string | undefined): Readonly<Record<string, unknown>> {
  const yaml = readme === undefined ? undefined : HEADER.exec(readme.replace(/^\ufeff/, ''))?.[1]
  if (yaml === undefined) return {}
  const data = parseYaml(yaml)
  if (data === null || data === undefined) return {}
  if (!isMapping(data)) {
    throw badCard(`its YAML header should be a mapping of fields, but is ${typeName(data)}`)
  }
  return data
}

function parseYaml(yaml: string): unknown {
  try {
    const document = parseDocument(yaml, {
      version: '1.1',
      uniqueKeys: false,
      logLevel: 'silent',
      customTags: likePython,
    })
    if (document.errors.length > 0) throw document.errors[0]
    return document.toJS()
  } catch (cause) {
    const line = cause instanceof Error ? cause.message.split('\n')[0]!.replace(/:$/, '') : String(cause)
    throw new ShardmillError('BAD_FILE', `its YAML header cannot be parsed: ${line}`, {
      at: { file: 'README.md' },
      hint: 'Correct the lines between the two --- at the top of the README.',
      cause,
    })
  }
}

/** PyYAML takes fewer words for truth values and fewer texts for numbers than YAML 1.1 says. */
function likePython(tags: Tags): Tags {
  return tags.map((tag) => {
    if (typeof tag !== 'object' || !('test' in tag)) return tag
    if (tag.tag.endsWith(':bool') && tag.test?.test('y')) {
      return { ...tag, test: /^(?:yes|Yes|YES|true|True|TRUE|on|On|ON)$/ }
    }
    if (tag.tag.endsWith(':bool') && tag.test?.test('n')) {
      return { ...tag, test: /^(?:no|No|NO|false|False|FALSE|off|Off|OFF)$/ }
    }
    if (tag.tag.endsWith(':float') && tag.test?.test('1e3')) {
      return { ...tag, test: /^(?:[-+]?[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)[eE][-+][0-9]+$/ }
    }
    if (tag.tag.endsWith(':int') && tag.test?.test('08')) return { ...tag, test: /^[-+]?(?:0|[1-9][0-9_]*)$/ }
    return tag
  })
}

export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
}

/** An error in the header, in the words "README.md: <why>". */
export function badCard(why: string, hint?: string): ShardmillError {
  return new ShardmillError('BAD_FILE', why, {
    at: { file: 'README.md' },
    ...(hint === undefined ? {} : { hint }),
  })
}

/** What a wrong value is, for an error message. */
export function typeName(value: unknown): string {
  if (value === null || value === undefined) return 'empty'
  if (Array.isArray(value)) return 'a list'
  if (value instanceof Date) return 'a date'
  if (typeof value === 'object') return 'a mapping'
  return typeof value === 'string'
    ? `the text "${value.slice(0, 80)}"`
    : `the ${typeof value} ${String(value)}`
}
