/**
 * Path patterns as `fsspec` reads them (the file layer under the `datasets` library), which is how a README's
 * `data_files` are meant:
 * - `*` any run of characters but `/`; as a whole segment, at least one character
 * - `?` one character but `/`
 * - `**` only as a whole segment: any number of folders; at the end, everything below
 * - `[abc]`, `[a-z]`, `[!abc]` one character of a set; an unclosed `[` stands for itself
 * - `{`, `}` and every other character stand for themselves: there is no brace expansion
 *
 * Patterns come from strangers' READMEs, so no regular expressions, which some patterns would keep busy for
 * ever: all states are followed at once, in time proportional to path × pattern.
 */

/** One step of a pattern: a character that passes `test`, once or (`many`) any number of times. */
interface Step {
  readonly test: (c: number) => boolean
  readonly many?: boolean
  /** The step to which one may go from here without a character. */
  readonly skipTo?: number
  /** What `test` accepts, where it is one character only. */
  readonly literal?: string
}

const SLASH = 0x2f
const any = () => true
const inSegment = (c: number) => c !== SLASH

/** True when `pattern` is a pattern and not the name of one file. */
export function isPattern(pattern: string): boolean {
  return /[*?[]/.test(pattern)
}

/** A test of whole paths (relative, `/` between segments), or undefined where `**` is part of a longer segment. */
export function compileGlob(pattern: string): ((path: string) => boolean) | undefined {
  const segments = pattern.split('/')
  const last = segments.length - 1
  const steps: Step[] = []
  for (const [i, segment] of segments.entries()) {
    if (segment === '**') {
      // `.*` at the end, `(.+/)?` before it
      if (i === last) steps.push({ test: any, many: true })
      else steps.push({ test: any, skipTo: steps.length + 3 }, { test: any, many: true }, exactly('/'))
      continue
    }
    if (segment.includes('**')) return undefined
    if (segment === '*') steps.push({ test: inSegment })
    pushSegment(steps, segment)
    if (i < last) steps.push(exactly('/'))
  }
  const part = longestLiteral(steps)
  // No path is followed through more of a pattern than it could match.
  const shortest = steps.filter(
    (step, i) => step.many !== true && step.skipTo === undefined && !isSkipped(steps, i),
  ).length
  // Without `**` the library lists only as deep as the pattern has segments, so a `[!x]` cannot eat a `/`.
  const depth = segments.includes('**') ? undefined : segments.length
  return (path) =>
    path.length >= shortest &&
    path.includes(part) &&
    (depth === undefined || path.split('/').length === depth) &&
    run(steps, path)
}

function pushSegment(steps: Step[], segment: string): void {
  const chars = [...segment]
  for (let i = 0; i < chars.length; ) {
    const c = chars[i++]!
    if (c === '*') {
      steps.push({ test: inSegment, many: true })
    } else if (c === '?') {
      steps.push({ test: inSegment })
    } else if (c === '[') {
      let end = i
      if (chars[end] === '!') end++
      if (chars[end] === ']') end++ // a `]` in first place is a member
      while (end < chars.length && chars[end] !== ']') end++
      if (end >= chars.length) {
        steps.push(exactly('['))
      } else {
        steps.push({ test: parseSet(chars.slice(i, end)) })
        i = end + 1
      }
    } else {
      steps.push(exactly(c))
    }
  }
}

function exactly(c: string): Step {
  const code = c.codePointAt(0)!
  return { test: (other) => other === code, literal: c }
}

function parseSet(chars: readonly string[]): (c: number) => boolean {
  const codes = chars.map((c) => c.codePointAt(0)!)
  const negated = chars[0] === '!'
  const ranges: [number, number][] = []
  for (let i = negated ? 1 : 0; i < codes.length; ) {
    const isRange = chars[i + 1] === '-' && i + 2 < codes.length
    // A range that runs backwards has no members.
    ranges.push([codes[i]!, isRange ? codes[i + 2]! : codes[i]!])
    i += isRange ? 3 : 1
  }
  return (c) => ranges.some(([from, to]) => from <= c && c <= to) !== negated
}

/** The `/` behind `**`, which may be skipped along with it. */
function isSkipped(steps: readonly Step[], i: number): boolean {
  return steps[i - 2]?.skipTo === i + 1
}

/** A text that every match contains: most paths are told apart by it alone. */
function longestLiteral(steps: readonly Step[]): string {
  const runs = steps
    .map((step, i) => (isSkipped(steps, i) ? '\0' : (step.literal ?? '\0')))
    .join('')
    .split('\0')
  return runs.reduce((longest, run) => (run.length > longest.length ? run : longest), '')
}

function run(steps: readonly Step[], path: string): boolean {
  let now: number[] = []
  let next: number[] = []
  // The character at which a step was last put on the list, so that it stands there once.
  const seen = new Int32Array(steps.length + 1).fill(-1)
  reach(0, 0, now)
  let at = 0
  for (const char of path) {
    const c = char.codePointAt(0)!
    at++
    for (const i of now) {
      const step = steps[i]
      if (step?.test(c)) reach(step.many ? i : i + 1, at, next)
    }
    if (next.length === 0) return false
    ;[now, next] = [next, now]
    next.length = 0
  }
  return now.includes(steps.length)

  function reach(i: number, time: number, list: number[]): void {
    if (seen[i] === time) return
    seen[i] = time
    list.push(i)
    const step = steps[i]
    if (step?.many) reach(i + 1, time, list)
    if (step?.skipTo !== undefined) reach(step.skipTo, time, list)
  }
}
