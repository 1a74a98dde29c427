/**
 * tokenize: conversations → tokens and mask, through the chat template.
 *
 * In:  one conversations blob, the vocabulary, the template's files if it has any.
 * Out: one token block and its index; for templates that are files also the conversations they cannot write.
 * Keeps: every other conversation exactly once, in order, cut at maxSeqLen tokens (counted as truncated when it reaches
 * maxSeqLen, also when it just fits: the reference counts so; with exactCut only when it is longer).
 */

import type { StageCall } from '../pipeline/stage.ts'
import type { Store } from '../store/types.ts'
import { readConversations } from './conversations.ts'
import { defineStage, fileName, input, paramsOf, together } from './define-stage.ts'
import { Rejects } from './rejects.ts'
import {
  BadConversation,
  type Template,
  type TemplateOptions,
  type TemplateTools,
} from './templates/define-template.ts'
import { templateOf } from './templates/index.ts'
import { TokenBlockWriter, TokenWriter } from './token-block.ts'
import type { TextTables } from './tokenizers/text-encoder.ts'
import { createWholeTextEncoder } from './tokenizers/whole-text.ts'
import { encoderOf, inRow } from './vocabulary-encoder.ts'

interface Params {
  readonly template: {
    readonly name: string
    readonly version: number
    readonly options?: TemplateOptions
    /** Of a template that is a file: how the rows it cannot write are counted. */
    readonly numbering?: 'row' | 'line'
  }
  readonly maxSeqLen: number
  /** Where rows that are too long are left out, those that just fit must not be taken for them. */
  readonly exactCut?: true
}

export const tokenize = defineStage({
  name: 'tokenize',
  async run(call, { store, signal, progress, encoderTables, hashedAs, settling }) {
    const { template, maxSeqLen, exactCut = false } = paramsOf<Params>(call)
    const vocabularyDigest = input(call, 'vocabulary')
    const { encoder, tables, specials, vocabularySize } = await encoderOf(
      vocabularyDigest,
      store,
      encoderTables,
    )
    const { isFile = false, renderer } = templateOf(template.name)
    const render = isFile
      ? renderer(specials, template.options ?? {}, await toolsOf(call, store, tables, specials))
      : renderOnce(`${vocabularyDigest} ${JSON.stringify(template)}`, () =>
          renderer(specials, template.options ?? {}),
        )
    const rejects = isFile ? new Rejects(fileName(call)) : undefined
    const tokens = new TokenWriter(encoder, maxSeqLen, exactCut)
    const writer = await store.createBlob()
    try {
      const block = new TokenBlockWriter(writer, vocabularySize > 65536 ? 4 : 2)
      let total = 0
      let trainedTotal = 0
      let truncated = 0
      let textBytes = 0
      const conversations = input(call, 'conversations')
      for await (const frame of readConversations(store, conversations, hashedAs?.(conversations))) {
        signal.throwIfAborted()
        const before = total
        for (let row = 0; row < frame.rows; row++) {
          tokens.begin()
          try {
            render(frame, row, tokens)
          } catch (error) {
            if (rejects === undefined || !(error instanceof BadConversation))
              throw inRow(error, call, frame.sourceRow[row]!)
            rejects.add({ [template.numbering ?? 'row']: frame.sourceRow[row]! }, error.message, undefined)
            continue
          }
          const trained = tokens.end()
          const cut = exactCut ? tokens.over : tokens.length === maxSeqLen
          block.add(frame.sourceRow[row]!, tokens, trained, cut)
          total += tokens.length
          trainedTotal += trained
          if (cut) truncated++
          if ((row & 255) === 255) await block.flushIfFull()
        }
        await block.flushIfFull()
        textBytes += frame.text.length
        progress.rows(frame.rows)
        progress.tokens(total - before)
        progress.bytes(frame.text.length)
        progress.done(block.rows)
      }
      const [output, index] = await together(block.commit(settling), store.putBlob(block.index()))
      return {
        outputs: {
          tokens: output,
          index,
          ...(rejects === undefined ? {} : { rejects: await store.putBlob(rejects.toBytes()) }),
        },
        stats: {
          rows: block.rows,
          tokens: total,
          trainedTokens: trainedTotal,
          truncated,
          textBytes,
          ...(rejects === undefined ? {} : { rejected: rejects.count }),
          ...(rejects?.first === undefined ? {} : { firstReject: rejects.first }),
        },
      }
    } finally {
      await writer.abort()
    }
  },
})

type Render = ReturnType<Template['renderer']>

/** The last one: a function that is made anew for each partition is also compiled anew. */
let lastRender: { readonly key: string; readonly render: Render } | undefined

function renderOnce(key: string, make: () => Render): Render {
  if (lastRender?.key !== key) lastRender = { key, render: make() }
  return lastRender.render
}

/** Inputs `template.ROLE` are the files of a template. */
async function toolsOf(
  call: StageCall,
  store: Store,
  tables: TextTables,
  specials: ReadonlyMap<string, number>,
): Promise<TemplateTools> {
  const files: Record<string, Uint8Array> = {}
  for (const [name, digest] of Object.entries(call.inputs)) {
    if (name.startsWith('template.'))
      files[name.slice('template.'.length)] = await store.readBlobBytes(digest)
  }
  const { templates = {} } = (call.hints ?? {}) as { templates?: Readonly<Record<string, string>> }
  return {
    files,
    names: templates,
    added: [...specials.keys()],
    wholeText: () => createWholeTextEncoder(tables),
  }
}
