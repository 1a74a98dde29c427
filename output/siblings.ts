/** Folders beside the output in which it is put together: on the same disk, so that a rename is all that is left. */
import { randomBytes } from 'node:crypto'
import { readdir, realpath, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'

/** Behind a symbolic link, the folder it leads to is the one to replace. */
export function targetOf(dir: string): Promise<string> {
  return realpath(dir).catch(() => resolve(dir))
}

const leftover = /^\.(?<base>.+)\.shardmill-(?:new|old)-(?<host>[0-9a-f]+)-(?<pid>\d+)-[0-9a-f]{16}$/

export function siblingName(target: string, kind: 'new' | 'old'): string {
  return join(
    dirname(target),
    `.${basename(target)}.shardmill-${kind}-${hostTag()}-${process.pid}-${randomBytes(8).toString('hex')}`,
  )
}

/** Folders that a killed publish of the same target left beside it, on this host. */
export async function removeLeftovers(target: string): Promise<void> {
  const names = await readdir(dirname(target)).catch(() => [])
  for (const name of names) {
    const { base, host, pid } = leftover.exec(name)?.groups ?? {}
    if (base !== basename(target) || host !== hostTag() || pid === undefined || isAlive(Number(pid))) continue
    await rm(join(dirname(target), name), { recursive: true, force: true })
  }
}

function hostTag(): string {
  return Buffer.from(hostname()).toString('hex').slice(0, 24) || '0'
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
