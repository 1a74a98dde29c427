/**
 * Path patterns as `fsspec` reads them (the file layer under the `datasets` library), which is how a README's
 * `data_files` are meant:
 * - `*` any run of characters but `/`; as a whole segment, at least one character
 * - `?` one character but `/`
 * - `**` only as a whole segment: any number of folders; at the end, everything below
 * - `[abc]`, `[a-z]`, `[!abc]` one character of a set; an unclosed `[` stands for itself
 * - `{`, `}` and every other character stand for themselves: there is no brace expansion
 */

/** True when `pattern` is a pattern and not the name of one file. */
export function isPattern(pattern: string): boolean {
  return /[*?[]/.test(pattern)
}

/** A test of whole paths (relative, `/` between segments), or undefined where `**` is part of a longer segment. */
export function compileGlob(pattern: string): ((path: string) => boolean) | undefined {
  const segments = pattern.split('/')
  const last = segments.length - 1
  let source = ''
  for (const [i, segment] of segments.entries()) {
    if (segment === '*') source += i < last ? '[^/]+/' : '[^/]+'
    else if (segment === '**') source += i < last ? '(?:.+/)?' : '.*'
    else if (segment.includes('**')) return undefined
    else source += translateSegment(segment) + (i < last ? '/' : '')
  }
  const regex = new RegExp(`^(?:${source})$`, 'su')
  if (pattern.includes('**')) return (path) => regex.test(path)
  // Without `**` the library lists only as deep as the pattern has segments, so a `[!x]` cannot eat a `/`.
  return (path) => path.split('/').length === segments.length && regex.test(path)
}

function translateSegment(segment: string): string {
  const chars = [...segment]
  let out = ''
  for (let i = 0; i < chars.length; ) {
    const c = chars[i++]!
    if (c === '*') {
      if (!out.endsWith('[^/]*')) out += '[^/]*'
    } else if (c === '?') {
      out += '[^/]'
    } else if (c === '[') {
      let end = i
      if (chars[end] === '!') end++
      if (chars[end] === ']') end++ // a `]` in first place is a member
      while (end < chars.length && chars[end] !== ']') end++
      if (end >= chars.length) {
        out += '\\['
      } else {
        out += translateSet(chars.slice(i, end))
        i = end + 1
      }
    } else {
      out += literal(c)
    }
  }
  return out
}

function translateSet(chars: readonly string[]): string {
  const negated = chars[0] === '!'
  let members = ''
  for (let i = negated ? 1 : 0; i < chars.length; ) {
    const from = chars[i]!
    const to = chars[i + 2]
    if (chars[i + 1] === '-' && to !== undefined) {
      // A range that runs backwards has no members.
      if (from.codePointAt(0)! <= to.codePointAt(0)!) members += `${literal(from)}-${literal(to)}`
      i += 3
    } else {
      members += literal(from)
      i += 1
    }
  }
  if (members === '') return negated ? '.' : '(?!)'
  return `[${negated ? '^' : ''}${members}]`
}

/** The character itself, wherever in a regular expression it stands. */
function literal(c: string): string {
  return /^[\p{L}\p{N}_]$/u.test(c) ? c : `\\u{${c.codePointAt(0)!.toString(16)}}`
}
