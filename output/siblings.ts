/** Folders beside the output in which it is put together: on the same disk, so that a rename is all that is left. */
import { createHash, randomBytes } from 'node:crypto'
import { readdir, realpath, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'

/** Behind a symbolic link, the folder it leads to is the one to replace. */
export function targetOf(dir: string): Promise<string> {
  return realpath(dir).catch(() => resolve(dir))
}

const leftover = /^\.(?<base>.+)\.shardmill-(?<kind>new|old)-(?<host>[0-9a-f]+)-(?<pid>\d+)-[0-9a-f]{16}$/

export function siblingName(target: string, kind: 'new' | 'old'): string {
  return join(
    dirname(target),
    `.${basename(target)}.shardmill-${kind}-${hostTag()}-${process.pid}-${randomBytes(8).toString('hex')}`,
  )
}

/**
 * Removes folders that a killed build of the same target left beside it, on this host. One of kind `old` is the last
 * output, which had stepped aside: it stays until a new one is whole.
 */
export async function removeLeftovers(target: string, kinds: readonly string[]): Promise<void> {
  const names = await readdir(dirname(target)).catch(() => [])
  for (const name of names) {
    const { base, kind, host, pid } = leftover.exec(name)?.groups ?? {}
    if (kind === undefined || !kinds.includes(kind)) continue
    if (base !== basename(target) || host !== hostTag() || pid === undefined || isAlive(Number(pid))) continue
    await rm(join(dirname(target), name), { recursive: true, force: true })
  }
}

/** Names of hosts of one cluster often begin alike. */
function hostTag(): string {
  return createHash('sha256').update(hostname()).digest('hex').slice(0, 24)
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return true
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
