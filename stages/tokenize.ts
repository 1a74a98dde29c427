/**
 * tokenize: conversations → tokens and mask, through the chat template.
 *
 * In:  one conversations blob, the vocabulary.   Out: one token block and its index.
 * Keeps: every conversation exactly once, in order, cut at maxSeqLen tokens (counted as truncated when it reaches
 * maxSeqLen, also when it just fits: the reference counts so; with exactCut only when it is longer).
 */

import { readConversations } from './conversations.ts'
import { defineStage, input, paramsOf, together } from './define-stage.ts'
import type { TemplateOptions } from './templates/define-template.ts'
import { templateOf } from './templates/index.ts'
import { TokenBlockWriter, TokenWriter } from './token-block.ts'
import { encoderOf } from './vocabulary-encoder.ts'

interface Params {
  readonly template: {
    readonly name: string
    readonly version: number
    readonly options?: TemplateOptions
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
    const { encoder, specials, vocabularySize } = await encoderOf(vocabularyDigest, store, encoderTables)
    const render = templateOf(template.name).renderer(specials, template.options ?? {})
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
          render(frame, row, tokens)
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
        outputs: { tokens: output, index },
        stats: { rows: block.rows, tokens: total, trainedTokens: trainedTotal, truncated, textBytes },
      }
    } finally {
      await writer.abort()
    }
  },
})
