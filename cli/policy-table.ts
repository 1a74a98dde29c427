/** What tooLong and onUntrained do to each source, as a table: in `plan` once tokens are known, and in the report. */
import { cleanText } from './clean-text.ts'
import { count } from './format-text.ts'

export interface PolicyRow {
  readonly split: string
  readonly label: string
  readonly conversations: number
  readonly truncated: number
  readonly untrained: number
  readonly dropped?: { readonly tooLong: number; readonly untrained: number }
}

/** Rows for `table`, head first. */
export function policyRows(sources: readonly PolicyRow[]): string[][] {
  return [
    ['', 'taken', 'truncated', 'untrained', 'too long, left out', 'untrained, left out'],
    ...sources.map(({ split, label, conversations, truncated, untrained, dropped }) => [
      `${split} ${cleanText(label)}`,
      ...[conversations, truncated, untrained, dropped?.tooLong ?? 0, dropped?.untrained ?? 0].map(count),
    ]),
  ]
}
