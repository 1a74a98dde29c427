/**
 * A source: where rows come from and how a row becomes a conversation. To add one, write a file beside this
 * one and name it in index.ts; the recipe's schema, the lock and the docs' table follow from the definition.
 */
import type { z } from 'zod'
import type { ColumnBatch, ColumnType } from '../../parquet/columns.ts'
import type { Json } from '../../store/types.ts'
import type { ConversationWriter } from '../conversations.ts'

/** Where a table source's files are, as the recipe says it. */
export type TableOrigin =
  | {
      readonly kind: 'hub'
      readonly repo: string
      readonly revision: string
      readonly subset?: string
      readonly split: string
      readonly files?: string
    }
  | { readonly kind: 'local'; readonly path: string }

/** A row that is not what the source expects. `format` adds the file and the row number. */
export class BadRow extends Error {
  override readonly name = 'BadRow'
  /** What to do about it, where "correct the row" would be no help. */
  readonly hint: string | undefined

  constructor(why: string, hint?: string) {
    super(why)
    this.hint = hint
  }
}

interface SourceBase<Options> {
  /** The recipe's `task`. */
  readonly task: string
  /** Raise when the same row would become another conversation. */
  readonly version: number
  /** The recipe's fields beside task, start, stop, step, repeat. */
  readonly fields: z.ZodRawShape
  /** The key under which config.json counts the source. */
  label(options: Options): string
  /** What of the options changes a conversation's bytes; goes into the format stage's key. */
  identity(options: Options): Json
  /** For docs and `--help`. */
  readonly about: string
}

/** Rows of parquet or JSON-lines tables. */
export interface TableSource<Options> extends SourceBase<Options> {
  readonly kind: 'table'
  origin(options: Options): TableOrigin
  /** Seed of the source's own permutation; null keeps the files' order. */
  seed(options: Options): number | null
  /** Rows are problems whose answer is one of their letters; with `letters: true` in the identity they name them. */
  readonly lettered?: true
  /** The columns it reads, given `identity`. */
  columns(identity: Json): Readonly<Record<string, ColumnType>>
  /** Makes the function that writes row `i` of a batch as one conversation; throws BadRow. */
  rows(identity: Json): (batch: ColumnBatch, i: number, out: ConversationWriter) => void
}

/** Lines of a local JSON-lines file, each parsed by itself. */
export interface LinesSource<Options> extends SourceBase<Options> {
  readonly kind: 'lines'
  path(options: Options): { readonly path: string; readonly optional: boolean }
  line(value: unknown, out: ConversationWriter): void
}

/** Rows made from nothing but an item number and auxiliary files. */
export interface GeneratedSource<Options> extends SourceBase<Options> {
  readonly kind: 'generated'
  items(options: Options): number
  /** Files that shape the rows: role → path, URL-free; null means the default that ships with shardmill. */
  aux(options: Options): Readonly<Record<string, AuxFile>>
  /** Makes the function that writes item `i`; called once a partition. */
  generator(
    identity: Json,
    aux: Readonly<Record<string, Uint8Array>>,
    names: Readonly<Record<string, string>>,
  ): (i: number, out: ConversationWriter) => void
}

export type AuxFile =
  | { readonly kind: 'local'; readonly path: string }
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'hub'; readonly repo: string; readonly path: string; readonly revision: string }
  /** A file that comes with shardmill or one of its packages: `name` for people, `load` for its bytes. */
  | { readonly kind: 'default'; readonly name: string; readonly load: () => Promise<Uint8Array> }

// biome-ignore lint/suspicious/noExplicitAny: definitions with different options stand in one list
export type Source = TableSource<any> | LinesSource<any> | GeneratedSource<any>

export function defineTableSource<Options>(source: Omit<TableSource<Options>, 'kind'>): TableSource<Options> {
  return { ...source, kind: 'table' }
}

export function defineLinesSource<Options>(source: Omit<LinesSource<Options>, 'kind'>): LinesSource<Options> {
  return { ...source, kind: 'lines' }
}

export function defineGeneratedSource<Options>(
  source: Omit<GeneratedSource<Options>, 'kind'>,
): GeneratedSource<Options> {
  return { ...source, kind: 'generated' }
}
