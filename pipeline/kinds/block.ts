/** What becomes of a partition's conversations, by the lock's kind: the stage that makes a block of them and its index. */
import type { Json } from '../../store/types.ts'
import { present } from '../context.ts'
import type { Kind, LockedSource } from '../lock.ts'
import type { Settings } from '../results.ts'
import type { StageName } from '../stage.ts'

export const blockStages = {
  sft: 'tokenize',
  mix: 'import',
  'chat-eval': 'problems',
} as const satisfies Record<Kind, StageName>

type BlockSource = Pick<LockedSource, 'tooLong' | 'reader'>

/** How people count the rows of a source. */
export function numberingOf({ reader }: Pick<LockedSource, 'reader'>): 'line' | 'row' {
  return reader === 'jsonl' ? 'line' : 'row'
}

/** The stage and its params; its inputs are `conversations` and `vocabulary`, its outputs `tokens` and `index`. */
export function blockStage(
  settings: Settings,
  source: BlockSource,
): { readonly stage: StageName; readonly params: Json } {
  return { stage: blockStages[settings.kind], params: params[settings.kind](settings as never, source) }
}

const params = {
  sft: ({ template, maxSeqLen }: Settings, source: BlockSource): Json => ({
    template: {
      name: template.name,
      version: template.version,
      ...present('options', template.options),
      ...(template.files === undefined ? {} : { numbering: numberingOf(source) }),
    },
    maxSeqLen,
    ...(source.tooLong === undefined ? {} : { exactCut: true }),
  }),
  /** Blocks of a mix come from shards (imports.ts), never from conversations. */
  mix: (): Json => ({}),
  'chat-eval': ({ template: { name, version } }: Settings): Json => ({ template: { name, version } }),
} as const satisfies Record<Kind, (settings: never, source: BlockSource) => Json>
