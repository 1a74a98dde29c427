/**
 * Columns in memory, Arrow's way: what every reader (parquet, JSONL) hands to a source. Strings stay UTF-8
 * bytes from the file to the tokenizer; nothing here allocates per value.
 */

/** The shape a source asks for. */
export type ColumnType =
  | { readonly kind: 'string' }
  | { readonly kind: 'int' }
  | { readonly kind: 'list'; readonly item: ColumnType }
  | {
      readonly kind: 'struct'
      readonly fields: Readonly<Record<string, ColumnType>>
      /** Fields that need not be there and may be of any type: of them is only asked whether they hold something. */
      readonly watched?: readonly string[]
    }

/** UTF-8 strings: value i is `bytes[offsets[i] .. offsets[i+1])`. Validated: every value is well-formed UTF-8. */
export interface StringColumn {
  readonly kind: 'string'
  readonly length: number
  readonly offsets: Int32Array
  readonly bytes: Uint8Array
  /** 1 where a value is present, 0 where it is null; absent when nothing is null. A null has zero length. */
  readonly valid?: Uint8Array
}

/** Integers up to 2^53 (larger ones are an error in the reader). */
export interface IntColumn {
  readonly kind: 'int'
  readonly length: number
  readonly values: Float64Array
  readonly valid?: Uint8Array
}

/** Lists: list i holds items `offsets[i] .. offsets[i+1]` of `item`. */
export interface ListColumn {
  readonly kind: 'list'
  readonly length: number
  readonly offsets: Int32Array
  readonly item: Column
  readonly valid?: Uint8Array
}

export interface StructColumn {
  readonly kind: 'struct'
  readonly length: number
  readonly fields: Readonly<Record<string, Column>>
  /**
   * Of the watched fields those that hold something in this batch, with 1 where they do: a text or a list that is not
   * empty (nor `[]`, `{}` or `null` as text), or a struct with such a field. Numbers and booleans hold nothing.
   */
  readonly filled?: ReadonlyMap<string, Uint8Array>
  readonly valid?: Uint8Array
}

export type Column = StringColumn | IntColumn | ListColumn | StructColumn

/** A run of rows. `firstRow` counts from the start of the file. */
export interface ColumnBatch {
  readonly firstRow: number
  readonly rows: number
  readonly columns: Readonly<Record<string, Column>>
  /**
   * Rows of this batch (0 is its first) that hold a string which is not UTF-8, with the reason. Such a string's
   * bytes have been replaced by question marks, so that the columns stay valid; the row is not to be used.
   */
  readonly badRows?: ReadonlyMap<number, string>
}
