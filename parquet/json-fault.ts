/**
 * Says where a text stops being JSON and what should have stood there, in words that do not depend on the
 * JavaScript engine's version (they may end in a report). Only for texts that `JSON.parse` has refused.
 */
export function jsonFault(text: string): string {
  const closers: string[] = []
  let i = 0
  const skip = () => {
    while (i < text.length && ' \t\n\r'.includes(text[i]!)) i++
  }
  const fault = (expected: string) => {
    const found = i >= text.length ? 'the line ends' : `there is ${JSON.stringify(text[i])}`
    return `not JSON: at character ${i + 1} ${found}, where ${expected} was expected.`
  }
  const string = (): string | undefined => {
    for (i++; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code === 34) {
        i++
        return undefined
      }
      if (code < 32) return fault('a character (control characters must be escaped)')
      if (code !== 92) continue
      i++
      if (i >= text.length || !'"\\/bfnrtu'.includes(text[i]!)) return fault('an escape')
      if (text[i] !== 'u') continue
      for (let k = 0; k < 4; k++) {
        i++
        if (!/^[0-9a-fA-F]$/.test(text[i] ?? '')) return fault('a hexadecimal digit')
      }
    }
    return fault('the end of a string')
  }
  let state: 'value' | 'first-item' | 'first-key' | 'key' | 'after' = 'value'
  for (;;) {
    skip()
    const char = text[i]
    if (state === 'after') {
      const closer = closers[closers.length - 1]
      if (closer === undefined) return i < text.length ? fault('the end of the line') : 'not JSON.'
      if (char === closer) {
        closers.pop()
        i++
      } else if (char === ',') {
        i++
        state = closer === '}' ? 'key' : 'value'
      } else return fault(`"," or "${closer}"`)
      continue
    }
    if ((state === 'first-key' && char === '}') || (state === 'first-item' && char === ']')) {
      state = 'after'
      continue
    }
    if (state === 'key' || state === 'first-key') {
      if (char !== '"') return fault('a name in quotes')
      const wrong = string()
      if (wrong !== undefined) return wrong
      skip()
      if (text[i] !== ':') return fault('":"')
      i++
      state = 'value'
      continue
    }
    if (char === '{' || char === '[') {
      closers.push(char === '{' ? '}' : ']')
      state = char === '{' ? 'first-key' : 'first-item'
      i++
      continue
    }
    if (char === '"') {
      const wrong = string()
      if (wrong !== undefined) return wrong
    } else {
      const word = /(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)/y
      word.lastIndex = i
      const match = word.exec(text)
      if (match === null) return fault('a value')
      i += match[0].length
    }
    state = 'after'
  }
}
