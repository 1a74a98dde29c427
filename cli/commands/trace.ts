import { dirname } from 'node:path'
import { ShardmillError } from '../../errors/index.ts'
import { nearest } from '../../errors/nearest.ts'
import { assertNoFolder, findFolder } from '../../output/find-folder.ts'
import { readProvenance, type TraceNode, traceFile } from '../../output/trace.ts'
import { cleanText } from '../clean-text.ts'
import { bytes } from '../format-text.ts'
import { paint } from '../paint.ts'
import type { CommandContext } from '../run.ts'
import { safeJson } from '../safe-json.ts'

export interface TraceFlags {
  readonly json?: boolean
  readonly full?: boolean
}

export async function traceCommand(
  _context: CommandContext,
  shard: string,
  { json, full }: TraceFlags,
): Promise<void> {
  await assertNoFolder(shard)
  const folder = await findFolder(shard)
  if (folder === undefined)
    throw new ShardmillError('OUTPUT', `${dirname(shard)} has no manifest.json`, {
      hint: 'Name a file in a folder that `shardmill build --out` has written.',
    })
  const { dir, name, manifest } = folder
  const file = manifest.files.find(({ path }) => path === name)
  if (file === undefined) {
    const guess = nearest(
      name,
      manifest.files.map(({ path }) => path),
    )
    throw new ShardmillError(
      'OUTPUT',
      `the manifest of ${dir} has no file ${name}${guess === undefined ? '' : `; did you mean ${guess}?`}`,
    )
  }
  const trace = traceFile(manifest, await readProvenance(dir), file)
  if (json === true) {
    process.stdout.write(
      `${safeJson({ schema: 1, file, lockDigest: manifest.lockDigest, tool: manifest.tool, trace })}\n`,
    )
    return
  }
  const color = paint(process.stdout)
  process.stdout.write(`${color.bold(name)}  ${bytes(file.bytes)}  sha256 ${file.sha256}\n`)
  if (trace === undefined) {
    process.stdout.write(
      `  written from the figures of all shards (lock ${manifest.lockDigest.slice(0, 16)}), by ${manifest.tool.name} ${manifest.tool.version}\n`,
    )
    return
  }
  const lines: string[] = []
  print(trace, 1, full === true, lines, new Set(), color)
  process.stdout.write(`${lines.join('\n')}\n`)
}

/** Inputs shown per stage without --full. */
const fewInputs = 6

function print(
  node: TraceNode,
  depth: number,
  full: boolean,
  lines: string[],
  seen: Set<string>,
  color: ReturnType<typeof paint>,
): void {
  const indent = '  '.repeat(depth)
  if (node.kind === 'file') {
    lines.push(`${indent}${color.green(cleanText(node.what))}  sha256 ${node.digest}`)
    return
  }
  const repeated = seen.has(node.key)
  seen.add(node.key)
  const who =
    node.ran === undefined
      ? ''
      : color.dim(
          `  ${node.ran.user}@${node.ran.host}, ${node.ran.startedAt}, ${node.ran.engine}, shardmill ${node.ran.tool}`,
        )
  lines.push(
    `${indent}${color.cyan(node.stage)} v${node.version}  key ${node.key.slice(0, 16)}  ${node.summary}${who}`,
  )
  if (repeated) {
    if (node.inputs.length > 0) lines.push(`${indent}  ${color.dim('(as above)')}`)
    return
  }
  const shown = full ? node.inputs : node.inputs.slice(0, fewInputs)
  for (const input of shown) print(input, depth + 1, full, lines, seen, color)
  if (shown.length < node.inputs.length)
    lines.push(`${indent}  ${color.dim(`and ${node.inputs.length - shown.length} more (--full)`)}`)
}
