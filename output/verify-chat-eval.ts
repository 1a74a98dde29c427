/** What verifying a folder of kind chat-eval checks: every problem of every task's file, and config.json. */
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isShardmillError } from '../errors/index.ts'
import { FileReader } from '../stages/outputs/file-reader.ts'
import { problemFormatOf } from '../stages/outputs/problem-files/index.ts'
import { ProblemChecker } from '../stages/verify-task.ts'
import type { ChatEvalFacts } from './kinds/chat-eval.ts'
import type { Checked, CheckedFolder } from './kinds/define-kind.ts'
import type { Manifest, ManifestFile } from './manifest.ts'
import { configName, manifestName } from './names.ts'

type ChatEvalManifest = Manifest & ChatEvalFacts

export async function checkChatEval(folder: CheckedFolder): Promise<Checked> {
  const { signal, problem } = folder
  const manifest = folder.manifest as ChatEvalManifest
  const checked = { tokens: 0, trained: 0, shards: 0 }
  for (const file of manifest.files) {
    signal.throwIfAborted()
    if (file.role !== 'problems') {
      await folder.digest(file)
      continue
    }
    try {
      checked.tokens += await checkFile(folder, manifest, file)
      checked.shards++
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (isShardmillError(error, 'VERIFY')) problem(file, error.why)
      else if (code === 'ENOENT') problem(file, 'is missing')
      else throw error
    }
  }
  await checkConfig(folder, manifest)
  return checked
}

async function checkFile(
  { dir, problem, report, signal }: CheckedFolder,
  manifest: ChatEvalManifest,
  file: ManifestFile,
): Promise<number> {
  const { size } = await stat(join(dir, file.path))
  const hash = createHash('sha256')
  const reader = new FileReader(join(dir, file.path), file.path, (bytes) => {
    hash.update(bytes)
    report(bytes.length)
  })
  try {
    if (size !== file.bytes) problem(file, `is ${size} bytes long, the manifest says ${file.bytes}`)
    const task = manifest.tasks.find((candidate) => candidate.file === file.path)
    if (task === undefined) return reader.fail('belongs to no task of the manifest')
    const check = new ProblemChecker(file.path, { ...manifest, bosId: manifest.bosId ?? 0 })
    for await (const found of formatOf(manifest).read(reader, task)) {
      signal.throwIfAborted()
      check.next(found)
    }
    reader.rest()
    const digest = hash.digest('hex')
    if (digest !== file.sha256) problem(file, `has sha256 ${digest}, expected ${file.sha256}`)
    if (check.tokens !== file.tokens)
      problem(file, `has ${check.tokens} tokens, the manifest says ${file.tokens}`)
    return check.tokens
  } finally {
    reader.close()
  }
}

function formatOf({ lock }: Manifest) {
  const { output } = lock as { readonly output?: { readonly name?: string } }
  return problemFormatOf(output?.name ?? 'pt')
}

/** config.json says of each task what the manifest says. */
async function checkConfig({ dir, problem }: CheckedFolder, manifest: ChatEvalManifest): Promise<void> {
  let config: { readonly bos_id?: unknown; readonly tasks?: readonly Record<string, unknown>[] }
  try {
    config = JSON.parse(await readFile(join(dir, configName), 'utf8'))
  } catch {
    return // missing or damaged: its digest has told already
  }
  if (config.bos_id !== manifest.bosId)
    problem(configName, `says bos_id ${String(config.bos_id)}, the manifest ${manifest.bosId}`)
  const { tasks = [] } = config
  if (tasks.length !== manifest.tasks.length)
    problem(configName, `has ${tasks.length} tasks, ${manifestName} ${manifest.tasks.length}`)
  manifest.tasks.forEach(({ label, file, examples, randomBaseline }, i) => {
    const expected = { label, file, num_examples: examples, random_baseline: randomBaseline }
    for (const [name, value] of Object.entries(expected))
      if (tasks[i]?.[name] !== value)
        problem(configName, `says ${name} ${String(tasks[i]?.[name])} of ${label}, the manifest ${value}`)
  })
}
