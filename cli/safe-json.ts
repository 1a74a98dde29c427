import { cleanText } from './clean-text.ts'

/**
 * JSON that a terminal may be shown, too: the control codes that JSON leaves as they are (U+007F to U+009F) and
 * direction marks become escapes. Parsed, it is the same value.
 */
export function safeJson(value: unknown): string {
  return cleanText(JSON.stringify(value))
}
