import { readFile } from 'node:fs/promises'
import { ShardmillError } from '../../errors/index.ts'
import { nearest } from '../../errors/nearest.ts'
import { sources } from '../../stages/sources/index.ts'
import type { Conversation, TaskOptions } from '../../tasks/index.ts'
import { openTask } from '../../tasks/index.ts'
import { createRenderer, type Rendered, type Renderer } from '../../tasks/render.ts'
import { cleanText } from '../clean-text.ts'
import { count } from '../format-text.ts'
import { paint } from '../paint.ts'
import type { CommandContext } from '../run.ts'
import { storeLocation, wholeNumber } from '../settings.ts'
import { type Span, spanPainter, spanReader } from '../token-spans.ts'

export interface TaskFlags {
  readonly index: string
  readonly count?: boolean
  readonly render?: boolean
  readonly completion?: boolean
  readonly encoding: string
  readonly tokenizer?: string
  readonly maxTokens: string
  readonly subset?: string
  readonly split?: string
  readonly repo?: string
  readonly revision?: string
  readonly files?: string
  readonly seed?: string
  readonly path?: string
  readonly shape?: string
  readonly words?: string
  readonly phrasebook?: string
  readonly size?: string
  readonly start?: string
  readonly stop?: string
  readonly step?: string
  readonly store?: string
  readonly json?: boolean
}

/** Options that go to the source as they are. */
const texts = [
  'subset',
  'split',
  'repo',
  'revision',
  'files',
  'path',
  'shape',
  'words',
  'phrasebook',
] as const
const numbers = ['size', 'start', 'stop', 'step'] as const
const encodings = ['gpt2', 'r50k_base', 'p50k_base', 'cl100k_base', 'o200k_base']

export async function taskCommand(
  { signal, quiet }: CommandContext,
  name: string,
  flags: TaskFlags,
): Promise<void> {
  const index = wholeNumber(flags.index, '--index')
  const maxTokens = wholeNumber(flags.maxTokens, '--max-tokens', 1)
  if (flags.completion === true && flags.render !== true)
    throw new ShardmillError('USAGE', '--completion needs --render', {
      hint: 'It decides which tokens --render shows.',
    })
  const task = await openTask(optionsOf(name, flags), {
    store: storeLocation(flags.store),
    signal,
    onNotice: (text) => {
      if (!quiet) process.stderr.write(`${cleanText(text)}\n`)
    },
  })
  const facts = {
    schema: 1,
    task: task.task,
    name: task.name,
    evalType: task.evalType ?? null,
    length: task.length,
  }
  if (flags.count === true) {
    process.stdout.write(flags.json === true ? `${JSON.stringify(facts)}\n` : `${task.length}\n`)
    return
  }
  const conversation = await task.conversation(index)
  const rendered =
    flags.render === true
      ? await render(conversation, await rendererOf(flags, maxTokens), flags.completion === true)
      : undefined
  if (flags.json === true) {
    process.stdout.write(
      `${JSON.stringify({ ...facts, index, conversation, ...(rendered === undefined ? {} : { rendered }) })}\n`,
    )
    return
  }
  const color = paint(process.stdout)
  const judged = task.evalType === undefined ? '' : `, ${task.evalType}`
  process.stdout.write(`${color.bold(`${task.name} ${count(index)}`)} of ${count(task.length)}${judged}\n`)
  process.stdout.write(rendered === undefined ? conversationText(conversation) : renderedText(rendered))
}

/** What the command line says, over what a task is usually looked at with. */
function optionsOf(name: string, flags: TaskFlags): TaskOptions {
  const { task, subset } = taskNamed(name)
  const { fields } = sources.find((source) => source.task === task)!
  const isOfHub = 'split' in fields && flags.path === undefined
  const usual: Record<string, unknown> = {
    ...(isOfHub && !('size' in fields) ? { split: 'test' } : {}),
    ...('size' in fields ? { size: 1000 } : {}),
    ...(task === 'arc' ? { subset: subset ?? 'ARC-Easy' } : {}),
  }
  const given: Record<string, unknown> = {}
  for (const field of texts) if (flags[field] !== undefined) given[field] = flags[field]
  for (const field of numbers)
    if (flags[field] !== undefined) given[field] = wholeNumber(flags[field], `--${field}`)
  if (flags.seed !== undefined)
    given['seed'] = flags.seed === 'none' ? null : wholeNumber(flags.seed, '--seed')
  return { ...usual, ...given, task }
}

/** Names as recipes write them, or as nanochat does: `SpellingBee`, `ARC-Easy`. */
function taskNamed(name: string): { task: string; subset?: string } {
  const plain = (text: string) => text.toLowerCase().replace(/[-_]/g, '')
  const source = sources.find(({ task }) => plain(task) === plain(name))
  if (source !== undefined) return { task: source.task }
  for (const subset of ['ARC-Easy', 'ARC-Challenge'])
    if (plain(subset) === plain(name)) return { task: 'arc', subset }
  const names = [...sources.map(({ task }) => task), 'ARC-Easy', 'ARC-Challenge']
  const guess = nearest(name, names)
  throw new ShardmillError(
    'USAGE',
    `there is no task ${JSON.stringify(name)}${guess === undefined ? '' : `; did you mean ${guess}?`}`,
    {
      hint: `Tasks: ${names.join(', ')}.`,
    },
  )
}

async function rendererOf({ tokenizer, encoding }: TaskFlags, maxTokens: number): Promise<Renderer> {
  const common = { template: 'nanochat', maxTokens }
  if (tokenizer !== undefined)
    return createRenderer({
      ...common,
      kind: 'nanochat',
      file: await readTokenizer(tokenizer),
      name: tokenizer,
    })
  if (!encodings.includes(encoding)) {
    const guess = nearest(encoding, encodings)
    throw new ShardmillError(
      'USAGE',
      `--encoding is ${JSON.stringify(encoding)}, expected one of ${encodings.join(', ')}${guess === undefined ? '' : `; did you mean ${guess}?`}`,
    )
  }
  const { tiktokenFile } = await import('../../stages/tokenizers/tiktoken-file.ts')
  return createRenderer({
    ...common,
    kind: 'tiktoken',
    file: await tiktokenFile(encoding),
    name: `tiktoken ${encoding}`,
  })
}

async function readTokenizer(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'there is no such file' : `cannot be read (${code})`
    throw new ShardmillError('USAGE', `--tokenizer ${path}: ${why}`, {
      hint: 'Name a tokenizer.pkl of nanochat, or leave it out to use --encoding.',
      cause: error,
    })
  }
}

interface RenderedFacts {
  readonly tokens: number
  readonly trained: number
  /** It reached --max-tokens, and may have been cut there. */
  readonly full: boolean
  readonly spans: readonly Span[]
  readonly ids: readonly number[]
  readonly mask: readonly number[]
}

async function render(
  conversation: Conversation,
  renderer: Renderer,
  forCompletion: boolean,
): Promise<RenderedFacts> {
  const { ids, mask, full } = forCompletion
    ? await promptOf(conversation, renderer)
    : await renderer.render(conversation)
  return {
    tokens: ids.length,
    trained: mask.reduce((sum, value) => sum + value, 0),
    full,
    spans: spanReader(renderer.vocabulary)(ids, mask),
    ids: Array.from(ids),
    mask: Array.from(mask),
  }
}

async function promptOf(conversation: Conversation, renderer: Renderer): Promise<Rendered> {
  try {
    return await renderer.renderForCompletion(conversation)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new ShardmillError('USAGE', `--completion: ${error.message}`, {
      hint: 'Choose another --index, or leave --completion out.',
      cause: error,
    })
  }
}

function renderedText({ tokens, trained, full, spans }: RenderedFacts): string {
  const cut = full ? ', reaches --max-tokens' : ''
  return `${count(tokens)} tokens, ${count(trained)} trained${cut}\n\n${spans.map(spanPainter(process.stdout)).join('')}\n`
}

/** Messages one after the other, then what else the conversation holds. What is trained on stands out as in `inspect`. */
function conversationText({ messages, ...extras }: Conversation): string {
  const color = paint(process.stdout)
  const show = spanPainter(process.stdout)
  const lines: string[] = []
  for (const { role, content } of messages) {
    lines.push('', color.bold(role))
    if (typeof content === 'string') lines.push(show({ text: content, trained: role === 'assistant' }))
    else
      for (const { type, text } of content)
        lines.push(`${color.bold(`[${type}]`)} ${show({ text, trained: type !== 'python_output' })}`)
  }
  for (const [name, value] of Object.entries(extras) as [string, string | readonly string[]][]) {
    lines.push(
      '',
      color.bold(name),
      cleanText(typeof value === 'string' ? value.trimEnd() : value.join(', ')),
    )
  }
  return `${lines.join('\n')}\n`
}
