import type { Json } from '../../store/types.ts'
import type { ConversationFrame } from '../conversations.ts'
import type { WholeTextEncoder } from '../tokenizers/whole-text.ts'
import type { MaskContract } from './mask-contract.ts'

/** Where a template writes a conversation's tokens. `trained` is the mask: 1 trained on, 0 not. */
export interface TokenSink {
  special(id: number, trained: 0 | 1): void
  /** Ordinary text: bytes [start, end), tokenized by themselves. */
  text(bytes: Uint8Array, start: number, end: number, trained: 0 | 1): void
  /** Two ranges of `bytes` with `between` in the middle, tokenized as one text. */
  joined(
    bytes: Uint8Array,
    start1: number,
    end1: number,
    between: Uint8Array,
    start2: number,
    end2: number,
    trained: 0 | 1,
  ): void
  /** Tokens that are known already: those at `from` up to `to` (exclusive) of `ids`. */
  tokens(ids: ArrayLike<number>, from: number, to: number, trained: 0 | 1): void
  /** The maximum is reached: whatever follows is cut off. */
  readonly full: boolean
}

/** What a recipe can choose of a template, by the names it has there. */
export interface TemplateOptions {
  /** Whether the assistant's header is left out of the mask. */
  readonly maskAssistantHeader?: boolean
  /** What a template that is a file can use besides the conversation. */
  readonly variables?: Readonly<Record<string, Json>>
}

/** What a template that is a file is made of. */
export interface TemplateTools {
  /** Its files, by their role. */
  readonly files: Readonly<Record<string, Uint8Array>>
  /** The same as users know them. */
  readonly names: Readonly<Record<string, string>>
  /** Names of the tokenizer's special and added tokens. */
  readonly added: readonly string[]
  readonly wholeText: () => WholeTextEncoder
}

/** A conversation that the template cannot write: it is set aside, or stops the build. */
export class BadConversation extends Error {
  override readonly name = 'BadConversation'
}

/** A chat template. To add one, write a file beside this one and name it in index.ts. */
export interface Template {
  readonly name: string
  /** Raise when a conversation would get other tokens or another mask. */
  readonly version: number
  /** What it trains on; `shardmill verify` holds shards against it where ids alone can tell. */
  readonly contract: MaskContract
  /** Special tokens it needs, BOS first. */
  readonly specials: readonly string[]
  /** The options it takes, and what they are when the recipe does not say. */
  readonly options?: TemplateOptions
  /** The one kind of tokenizer whose tokens it writes by itself; absent: it has texts encoded by any. */
  readonly tokenizer?: 'bytes'
  /** True when it is a file that the recipe names: then `renderer` needs `tools`. */
  readonly isFile?: true
  /**
   * Makes the function that writes conversation `row` of a frame, given the ids of the special tokens. That throws
   * BadConversation, before it has written anything.
   */
  renderer(
    ids: ReadonlyMap<string, number>,
    options?: TemplateOptions,
    tools?: TemplateTools,
  ): (frame: ConversationFrame, row: number, out: TokenSink) => void
  /** Makes the function that opens an assistant's turn, for prompts that a model is to complete. */
  opening?(ids: ReadonlyMap<string, number>): (out: TokenSink) => void
}

export function defineTemplate(template: Template): Template {
  return template
}
