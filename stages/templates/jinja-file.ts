/** The files that hold a chat template and the special tokens it names. */
import { z } from 'zod'
import { ShardmillError } from '../../errors/index.ts'
import type { TemplateTools } from './define-template.ts'

/** Far more than any template, or a tokenizer_config.json with its added tokens, has. */
const mostBytes = 16 << 20

export interface TemplateSource {
  readonly source: string
  /** `bos_token`, `eos_token` and their like. */
  readonly tokens: Readonly<Record<string, string>>
  /** The file the source came from, as users know it. */
  readonly file: string
}

const token = z
  .union([z.string(), z.looseObject({ content: z.string() }).transform(({ content }) => content)])
  .nullish()

const configShape = z.looseObject({
  chat_template: z
    .union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() }))])
    .nullish(),
  bos_token: token,
  eos_token: token,
  unk_token: token,
  sep_token: token,
  pad_token: token,
  cls_token: token,
  mask_token: token,
})

const tokenNames = [
  'bos_token',
  'eos_token',
  'unk_token',
  'sep_token',
  'pad_token',
  'cls_token',
  'mask_token',
] as const

/**
 * Role `jinja`: the template; role `config`: a tokenizer_config.json with the special tokens, and, where there is no
 * `jinja`, the template (the one named `default`, of several).
 * @throws ShardmillError BAD_FILE
 */
export function readTemplateFiles({ files, names }: Pick<TemplateTools, 'files' | 'names'>): TemplateSource {
  const { jinja, config } = files
  const nameOf = (role: string) => names[role] ?? role
  const tokens: Record<string, string> = {}
  let source = jinja === undefined ? undefined : textOf(jinja, nameOf('jinja'))
  if (config !== undefined) {
    const parsed = configOf(config, nameOf('config'))
    for (const name of tokenNames) if (typeof parsed[name] === 'string') tokens[name] = parsed[name]
    source ??= defaultTemplate(parsed.chat_template, nameOf('config'))
  }
  if (source === undefined) throw new TypeError('a jinja template has a file')
  return { source, tokens, file: nameOf(jinja === undefined ? 'config' : 'jinja') }
}

function defaultTemplate(found: z.output<typeof configShape>['chat_template'], file: string): string {
  if (typeof found === 'string') return found
  const one = found?.find(({ name }) => name === 'default')
  if (one !== undefined) return one.template
  throw bad(
    found === undefined || found === null
      ? 'has no chat_template'
      : `has no chat_template named default, only ${found.map(({ name }) => JSON.stringify(name)).join(', ')}`,
    file,
    'Name a chat_template.jinja, or another tokenizer_config.json.',
  )
}

function configOf(bytes: Uint8Array, file: string): z.output<typeof configShape> {
  let value: unknown
  try {
    value = JSON.parse(textOf(bytes, file))
  } catch (error) {
    if (error instanceof ShardmillError) throw error
    throw bad('is not JSON, expected a tokenizer_config.json', file)
  }
  const parsed = configShape.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw bad(`is no tokenizer_config.json: ${issue?.path.join('.')}: ${issue?.message}`, file)
}

function textOf(bytes: Uint8Array, file: string): string {
  if (bytes.length > mostBytes) throw bad(`is ${bytes.length} bytes long, expected a chat template`, file)
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw bad('is not UTF-8 text', file)
  }
}

function bad(why: string, file: string, hint?: string): ShardmillError {
  return new ShardmillError('BAD_FILE', why, { at: { file }, ...(hint === undefined ? {} : { hint }) })
}
