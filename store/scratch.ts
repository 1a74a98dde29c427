/**
 * Scratch folders: partial work (a download in parts) that a later process goes on with after a crash, while
 * two processes at once never share a file.
 *
 * `scratch/<name>/<owner>` belongs to the process whose member lease has the token `<owner>`. Renaming a
 * folder to one's own token is the claim: it is atomic, and of two claimants one finds nothing left to rename.
 * What may be claimed: `free-…` (left by a process that ended well), and folders whose owner is not alive
 * (see leases.ts). When the owner is not proven dead it may be frozen and go on writing into files it has
 * open; so those files are copied, and what it still writes goes to the old, nameless ones. Part files are
 * appended to, so a copy is a valid part whenever it was made; and what is imported in the end is hashed.
 */

import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { copyFile, errno, list, makeFolder, removeFolderIfEmpty, rename, statIfThere } from './fs-calls.ts'
import type { Layout } from './layout.ts'
import { type Lease, type LeaseTimes, type Liveness, surveyLeases } from './leases.ts'

const FREE = 'free-'

/** The folder of a name: readable, different for names that differ, safe on any file system. */
export function scratchFolderOf(layout: Layout, name: string): string {
  const readable = name.replace(/[^A-Za-z0-9_]+/g, '-').slice(0, 40)
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 16)
  return join(layout.scratch, `${readable}-${hash}`)
}

/** One name's folder for one owner, taken over from the dead or made new. */
export async function openScratch(
  layout: Layout,
  name: string,
  own: Lease,
  times?: LeaseTimes,
): Promise<string> {
  const folder = scratchFolderOf(layout, name)
  const mine = join(folder, own.token)
  if ((await statIfThere(mine)) !== undefined) return mine
  // Listed before the leases: an owner makes its lease before its folder, so none seen here lacks one yet.
  const candidates = (await list(folder)).filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  if (candidates.length > 0) {
    const owners = new Map<string, Liveness>()
    for (const lease of await surveyLeases(layout, own, times)) owners.set(lease.token, lease.liveness)
    const open = candidates.filter((candidate) => owners.get(candidate) !== 'live')
    for (const candidate of await largestFirst(folder, open)) {
      if (!(await claim(join(folder, candidate), mine))) continue
      const surelyDead = candidate.startsWith(FREE) || owners.get(candidate) === 'dead'
      if (!surelyDead) await detachFiles(mine)
      return mine
    }
  }
  await makeFolder(mine)
  return mine
}

/** Leaves a name's folder for whoever asks next; an empty one is removed. */
export async function leaveScratch(layout: Layout, name: string, own: Lease): Promise<void> {
  const folder = scratchFolderOf(layout, name)
  const mine = join(folder, own.token)
  await removeFolderIfEmpty(mine)
  await claim(mine, join(folder, FREE + randomBytes(8).toString('hex')))
  await removeFolderIfEmpty(folder)
}

async function claim(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to)
    return true
  } catch (error) {
    if (errno(error) === 'ENOENT') return false
    throw error
  }
}

async function detachFiles(folder: string): Promise<void> {
  for (const entry of await list(folder)) {
    if (!entry.isFile()) continue
    const path = join(folder, entry.name)
    const copy = `${path}.copy-${randomBytes(4).toString('hex')}`
    await copyFile(path, copy)
    await rename(copy, path)
  }
}

async function largestFirst(folder: string, names: readonly string[]): Promise<string[]> {
  const sized = await Promise.all(
    names.map(async (name) => ({ name, bytes: await bytesIn(join(folder, name)) })),
  )
  return sized.sort((a, b) => b.bytes - a.bytes).map(({ name }) => name)
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0
  for (const entry of await list(folder)) {
    if (entry.isFile()) bytes += (await statIfThere(join(folder, entry.name)))?.size ?? 0
  }
  return bytes
}
