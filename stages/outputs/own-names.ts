/** Shards under names of the recipe's own: `arc_easy_{split}_tokens`, for trainers that expect a certain file. */
import { z } from 'zod'
import { type OutputFormat, type OutputOptions, usualStem } from './define-output.ts'

const pattern = /^[A-Za-z0-9][A-Za-z0-9._-]*$/

export const ownNames: Pick<OutputFormat, 'fields' | 'stem' | 'stems' | 'isNamed'> = {
  fields: {
    names: z
      .string()
      .refine((names) => names.split('{split}').length === 2 && pattern.test(names.replace('{split}', 'x')), {
        message: 'must hold {split} once, and besides it letters, digits, ".", "_" and "-"',
      })
      .optional()
      .describe(
        'Names of the files, without their ending; `{split}` is the split. A second shard of one gets -000001',
      ),
  },
  stems: usualStem.stems,
  stem: (split, number, inSplit, options) => {
    const names = namesOf(options)
    if (names === undefined) return usualStem.stem(split, number, inSplit, options)
    return names.replace('{split}', split) + (inSplit === 0 ? '' : `-${String(inSplit).padStart(6, '0')}`)
  },
  isNamed: (stem, options) => {
    const [before, after] = namesOf(options)?.split('{split}') ?? []
    if (before === undefined || after === undefined) return false
    return stem.startsWith(before) && stem.replace(/-\d{6,}$/, '').endsWith(after)
  },
}

function namesOf({ names }: OutputOptions): string | undefined {
  return names as string | undefined
}
