/** What names a row's place in an error about a whole split, where only token blocks are known: hints, in no key. */
import { nameOf } from './context.ts'
import { numberingOf } from './kinds/block.ts'
import type { OutlineSource } from './results.ts'
import { isStored } from './stage.ts'

/** How a source's rows are numbered, and its files with the number of token blocks each came to. */
export type RowPlaces = {
  readonly numbering: 'row' | 'line'
  /** Absent where they are many. */
  readonly files?: readonly (readonly [name: string, blocks: number])[]
}

/** Names of more files than this, all sources together, do not pass as a message's hint. */
export const mostNamedFiles = 100

export function placesOf(
  sources: readonly OutlineSource[],
  partitions: readonly (readonly number[] | undefined)[],
): RowPlaces[] {
  let room = mostNamedFiles
  return sources.map((source, i) => {
    const numbering = numberingOf(source)
    const files = filesOf(source, partitions[i])
    if (files === undefined || files.length > room) return { numbering }
    room -= files.length
    return { numbering, files }
  })
}

function filesOf(source: OutlineSource, partitions: readonly number[] | undefined): RowPlaces['files'] {
  const { files } = source
  if (partitions === undefined || isStored(files) || files.length !== partitions.length) return undefined
  return files.map((file, i) => [nameOf(file), partitions[i]!] as const)
}
