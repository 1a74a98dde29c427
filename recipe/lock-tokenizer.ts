/** The tokenizer and the files of a template, pinned. */
import { ShardmillError } from '../errors/index.ts'
import type { RepoType } from '../hub/client/hub.ts'
import type { Lock, LockedFile } from '../pipeline/lock.ts'
import { templateOf } from '../stages/templates/index.ts'
import { byteFile } from '../stages/tokenizers/bytes.ts'
import { checkTokenizerSize } from '../stages/tokenizers/index.ts'
import type { Json } from '../store/types.ts'
import { type NamedFile, type TokenizerRecipe, templateName } from './fields.ts'
import { importBytes, portable } from './import-file.ts'
import type { TokenizingRecipe } from './kinds/define-kind.ts'
import {
  type Asked,
  keeper,
  localFile,
  lockHubFile,
  lockOptionalHubFile,
  optionalFile,
} from './lock-files.ts'
import { besideTokenizer, namedTemplateFiles, sibling } from './template-files.ts'

export async function lockTokenizer(recipe: TokenizingRecipe, context: Asked): Promise<Lock['tokenizer']> {
  const { tokenizer } = recipe
  const options = recognisesAdded(recipe) ? { addedTokens: 'recognise' as const } : {}
  if (tokenizer.kind === 'tiktoken') {
    const { tiktokenFile } = await import('../stages/tokenizers/tiktoken-file.ts')
    const file = await importBytes(
      keeper(context),
      await tiktokenFile(tokenizer.encoding),
      `tiktoken ${tokenizer.encoding}`,
    )
    return { kind: 'tiktoken', name: tokenizer.encoding, file }
  }
  if (tokenizer.kind === 'bytes')
    return { kind: 'bytes', name: 'bytes', file: await importBytes(keeper(context), byteFile, 'bytes') }
  const { kind, path, revision } = tokenizer
  const { repo, type } = repoOf(tokenizer)
  const file = tokenizer.file ?? (kind === 'huggingface' && repo !== undefined ? 'tokenizer.json' : undefined)
  if (path !== undefined && repo === undefined && file === undefined) {
    const local = await localFile(context, path, 'tokenizer.path')
    checkTokenizerSize(kind, local.bytes, portable(path))
    return { kind, name: portable(path), file: local, ...options }
  }
  if (path === undefined && repo !== undefined && file !== undefined) {
    const name = `${repo}/${file}`
    const remote = await lockHubFile({ repo, type, path: file, revision }, 'tokenizer.file', context)
    checkTokenizerSize(kind, remote.bytes, name)
    return { kind, name, file: remote, ...options }
  }
  throw new ShardmillError(
    'RECIPE',
    kind === 'huggingface'
      ? 'tokenizer: kind huggingface needs one of path (a local file), model and repo (on the hub)'
      : `tokenizer: kind ${kind} needs path (a local file), or repo and file (on the hub)`,
  )
}

/** The hub's repository that a recipe names as `model`, or as `repo` (a dataset's); neither when it names both. */
function repoOf({
  model,
  repo,
}: {
  readonly model?: string | undefined
  readonly repo?: string | undefined
}): {
  readonly repo: string | undefined
  readonly type: RepoType
} {
  if (model === undefined) return { repo, type: undefined }
  return { repo: repo === undefined ? model : undefined, type: 'model' }
}

/** A template that writes whole texts needs its special tokens recognised in them. */
function recognisesAdded({ tokenizer, template }: TokenizingRecipe): boolean {
  const wholeTexts = templateOf(templateName(template)).isFile === true
  if (tokenizer.kind !== 'huggingface') {
    if (!wholeTexts) return false
    throw new ShardmillError(
      'RECIPE',
      `tokenizer: kind ${tokenizer.kind} cannot read the text of a model's template`,
      { hint: 'Use kind huggingface with the model’s tokenizer.json.' },
    )
  }
  const { addedTokens = wholeTexts ? 'recognise' : 'text' } = tokenizer
  if (wholeTexts && addedTokens === 'text')
    throw new ShardmillError(
      'RECIPE',
      'tokenizer.addedTokens: is text, but a model’s template writes added tokens into its text',
      { hint: 'Leave addedTokens out, or use template: chatml.' },
    )
  return addedTokens === 'recognise'
}

/** The template's files: as the recipe names them, else those that lie beside the tokenizer. */
export async function lockTemplateFiles(
  { template, tokenizer }: TokenizingRecipe,
  context: Asked,
): Promise<Pick<Lock['template'], 'files' | 'options'>> {
  const files: Record<string, LockedFile> = {}
  const named = namedTemplateFiles(template)
  for (const [role, file] of Object.entries(named))
    files[role] = await lockNamedFile(file, `template.${role}`, context)
  if (Object.keys(named).length === 0) {
    for (const [role, name] of Object.entries(besideTokenizer)) {
      const found = await lockBeside(tokenizer, name, context)
      if (found !== undefined) files[role] = found
    }
    if (Object.keys(files).length === 0)
      throw new ShardmillError(
        'NOT_FOUND',
        `template: there is no ${Object.values(besideTokenizer).join(' or ')} beside the tokenizer`,
        { hint: 'Name the file: template: { jinja: … } or { config: … }.' },
      )
  }
  const { variables = {} } = typeof template === 'string' ? {} : template
  if (Object.keys(variables).length === 0) return { files }
  return { options: { variables: variables as Readonly<Record<string, Json>> }, files }
}

function lockNamedFile(file: NamedFile, where: string, context: Asked): Promise<LockedFile> {
  if (typeof file === 'string') return localFile(context, file, where)
  const { repo, type } = repoOf(file)
  if (repo === undefined) throw new ShardmillError('RECIPE', `${where}: needs one of model and repo`)
  return lockHubFile({ repo, type, path: file.file, revision: file.revision }, where, context)
}

async function lockBeside(
  tokenizer: TokenizerRecipe,
  name: string,
  context: Asked,
): Promise<LockedFile | undefined> {
  if (tokenizer.kind === 'tiktoken' || tokenizer.kind === 'bytes') return undefined
  if (tokenizer.path !== undefined)
    return optionalFile(context, sibling(tokenizer.path, name), 'template', true)
  const { repo, type } = repoOf(tokenizer)
  if (repo === undefined) return undefined
  const { revision, file = '' } = tokenizer
  return lockOptionalHubFile({ repo, type, path: sibling(file, name), revision }, context)
}
