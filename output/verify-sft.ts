/** What verifying a folder of kind sft checks: shards, their numbering and counts, config.json. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isShardmillError } from '../errors/index.ts'
import type { SftLock } from '../pipeline/lock.ts'
import { checkValues } from '../stages/outputs/check-values.ts'
import { verifyError } from '../stages/outputs/define-output.ts'
import { shardNames, shardOf } from '../stages/outputs/index.ts'
import type { TemplateOptions } from '../stages/templates/define-template.ts'
import { templates } from '../stages/templates/index.ts'
import { MaskChecker } from '../stages/templates/mask-contract.ts'
import { CheckedFile } from './checked-file.ts'
import { formatOf, mainFiles } from './find-shard.ts'
import type { Checked, CheckedFolder } from './kinds/define-kind.ts'
import type { SftFacts } from './kinds/sft.ts'
import type { Manifest, ManifestFile } from './manifest.ts'
import { configName, manifestName } from './names.ts'

type SftManifest = Manifest & SftFacts & { readonly lock: SftLock }

export async function checkSft(folder: CheckedFolder): Promise<Checked> {
  const { dir, problem, signal } = folder
  const manifest = folder.manifest as SftManifest
  const checked = { tokens: 0, trained: 0, shards: 0 }
  const { format, facts } = formatOf(manifest)
  const main = format.files[0]!.role
  const masks = maskChecker(manifest)
  for (const file of manifest.files) {
    signal.throwIfAborted()
    if (file.role !== main) {
      // The other files of a shard are read with its main file.
      if (!format.files.some(({ role }) => role === file.role)) await folder.digest(file)
      continue
    }
    const names = shardNames(format, shardOf(format, file.path, facts.options)?.stem ?? file.path)
    const files = format.files.map(({ role }) =>
      role === main
        ? file
        : manifest.files.find((other) => other.role === role && other.path === names[role]),
    )
    const missing = format.files.filter((_, i) => files[i] === undefined).map(({ role }) => role)
    if (missing.length > 0) {
      problem(file, `has no ${missing.join(' and no ')} file in the manifest`)
      continue
    }
    try {
      const { tokens, trained } = await verifyShard(files as ManifestFile[], manifest, folder, masks)
      checked.tokens += tokens
      checked.trained += trained
      checked.shards++
    } catch (error) {
      if (!isShardmillError(error, 'VERIFY')) throw error
      problem(files.find((found) => found?.path === error.at?.file) ?? file, error.why)
    }
  }
  checkNumbering(manifest, problem)
  await checkConfig(dir, manifest, problem)
  return masks === undefined ? checked : { ...checked, masks: manifest.lock.template.name }
}

/** Holds masks against the template's contract, where the manifest and ids alone are enough for it. */
function maskChecker({ lock, specials = {}, vocabularySize }: SftManifest): MaskChecker | undefined {
  const { name, version, options = {} } = lock.template
  const template = templates.find((known) => known.name === name && known.version === version)
  if (template === undefined) return undefined
  return MaskChecker.of({
    ...{ name, contract: template.contract, options: options as TemplateOptions, vocabularySize },
    specials: new Map(Object.entries(specials)),
    maxSeqLen: lock.maxSeqLen,
    recognised: lock.tokenizer.addedTokens === 'recognise',
  })
}

async function verifyShard(
  files: readonly ManifestFile[],
  manifest: SftManifest,
  { dir, problem, report, signal }: CheckedFolder,
  masks: MaskChecker | undefined,
): Promise<{ tokens: number; trained: number }> {
  const { format, facts } = formatOf(manifest)
  const main = files[0]!
  const opened: Record<string, CheckedFile> = {}
  const changed = async () => {
    const found: { file: ManifestFile; digest: string }[] = []
    for (const file of files) {
      const digest = await opened[file.role]!.digest()
      if (digest !== file.sha256) found.push({ file, digest })
    }
    return found
  }
  try {
    for (const file of files) opened[file.role] = await CheckedFile.open(dir, file, report)
    const reader = await format.open(opened, facts)
    const names = { tokens: main.path, mask: opened['mask']?.name ?? main.path }
    const checkCount = (tokens: number) => {
      if (main.tokens !== tokens)
        throw verifyError(main.path, `has ${tokens} tokens, the manifest says ${main.tokens}`)
    }
    if (reader.tokens !== undefined) checkCount(reader.tokens)
    masks?.open(reader.range !== undefined)
    let tokens = 0
    let trained = 0
    for await (const piece of reader.pieces()) {
      signal.throwIfAborted()
      trained += checkValues(piece, manifest.vocabularySize, tokens, names)
      masks?.add(piece, names)
      tokens += piece.ids.length
    }
    checkCount(tokens)
    for (const { file, digest } of await changed())
      problem(file, `has sha256 ${digest}, expected ${file.sha256}`)
    return { tokens, trained }
  } catch (error) {
    if (!isShardmillError(error, 'VERIFY')) throw error
    // Files that do not agree: the changed one is at fault, whichever the reader was looking at.
    const wrong = Object.keys(opened).length < files.length ? [] : await changed()
    if (wrong.length === 0 || wrong.some(({ file }) => file.path === error.at?.file)) throw error
    for (const { file, digest } of wrong) problem(file, `has sha256 ${digest}, expected ${file.sha256}`)
    return { tokens: 0, trained: 0 }
  } finally {
    for (const file of Object.values(opened)) await file.close()
  }
}

/** The first split from 0, the next going on after it, no gaps; tokens add up to what the splits say. */
function checkNumbering(manifest: SftManifest, problem: (file: string, why: string) => void): void {
  const { format, facts: known } = formatOf(manifest)
  const { role } = format.files[0]!
  let number = 0
  for (const [split, said] of Object.entries(manifest.splits)) {
    const facts = said as { shards?: number; tokens?: number } | undefined
    const shards = mainFiles(manifest, split)
    for (const [i, file] of shards.entries()) {
      const expected = shardNames(format, format.stem(split, number++, i, known.options))[role]
      if (file.path !== expected) problem(file.path, `stands where ${expected} was expected`)
    }
    const tokens = shards.reduce((sum, file) => sum + (file.tokens ?? 0), 0)
    if (facts?.shards !== shards.length)
      problem(manifestName, `says ${facts?.shards} shards for ${split}, but lists ${shards.length}`)
    if (facts?.tokens !== tokens)
      problem(manifestName, `says ${facts?.tokens} tokens for ${split}, but its shards have ${tokens}`)
  }
}

async function checkConfig(
  dir: string,
  manifest: SftManifest,
  problem: (file: string, why: string) => void,
): Promise<void> {
  let config: Record<string, unknown>
  try {
    config = JSON.parse(await readFile(join(dir, configName), 'utf8')) as Record<string, unknown>
  } catch {
    return // missing or damaged: its digest has told already
  }
  for (const [split, said] of Object.entries(manifest.splits)) {
    const facts = said as Record<string, unknown>
    for (const name of ['conversations', 'tokens', 'shards', 'truncated']) {
      if (config[`${split}_${name}`] !== facts[name])
        problem(
          configName,
          `says ${split}_${name} ${String(config[`${split}_${name}`])}, the manifest ${String(facts[name])}`,
        )
    }
  }
  if (config['vocab_size'] !== manifest.vocabularySize)
    problem(
      configName,
      `says vocab_size ${String(config['vocab_size'])}, the manifest ${manifest.vocabularySize}`,
    )
}
