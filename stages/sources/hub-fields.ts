import { z } from 'zod'
import type { TableOrigin } from './define-source.ts'

/** The recipe's fields of every source that reads a table of the hub. */
export const hubFields = {
  repo: z.string().optional().describe('Another repository with the same columns, instead of the usual one'),
  subset: z.string().optional().describe("The dataset's configuration"),
  split: z.string().min(1).describe('The split, as the dataset names it'),
  revision: z
    .string()
    .min(1)
    .default('main')
    .describe('Branch, tag or commit; pinned to its commit in the lock'),
  files: z
    .string()
    .optional()
    .describe('A glob over the paths of the repository: the files to take, of split or of no split at all'),
  seed: z
    .int()
    .nonnegative()
    .nullable()
    .default(42)
    .describe(
      "Seed of the source's own order (NumPy default_rng permutation, before any slicing); null keeps the files' order",
    ),
} as const

export interface HubOptions {
  readonly repo?: string
  readonly subset?: string
  readonly split: string
  readonly revision: string
  readonly files?: string
  readonly seed: number | null
}

export function hubOrigin(options: HubOptions, repo: string, subset?: string): TableOrigin {
  const chosen = options.subset ?? subset
  return {
    kind: 'hub',
    repo: options.repo ?? repo,
    revision: options.revision,
    ...(chosen === undefined ? {} : { subset: chosen }),
    split: options.split,
    ...(options.files === undefined ? {} : { files: options.files }),
  }
}
