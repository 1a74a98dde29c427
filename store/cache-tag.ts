/** CACHEDIR.TAG: tells backup tools that the folder can be made again. */

import { join } from 'node:path'
import { closeQuietly, errno, openNew, readSmallFile, removeIfThere, writeAll } from './fs-calls.ts'

const NAME = 'CACHEDIR.TAG'
const CONTENT = `Signature: 8a477f597d28d172789f06886806bc55
# This folder is a cache of shardmill: it may be deleted, and backups may leave it out.
# About this file: https://bford.info/cachedir/
`

export async function writeTag(folder: string): Promise<void> {
  try {
    const handle = await openNew(join(folder, NAME))
    try {
      await writeAll(handle, Buffer.from(CONTENT))
    } finally {
      await closeQuietly(handle)
    }
  } catch (error) {
    // Another process made it; or there is no room, which matters only to what is really to be stored.
    if (!['EEXIST', 'ENOSPC', 'EDQUOT'].includes(errno(error) ?? '')) throw error
  }
}

/** True when there is a tag and it is not as written. */
export async function isTagDamaged(folder: string): Promise<boolean> {
  try {
    return (await readSmallFile(join(folder, NAME))).toString('latin1') !== CONTENT
  } catch (error) {
    if (errno(error) === 'ENOENT') return false
    throw error
  }
}

export async function rewriteTag(folder: string): Promise<void> {
  await removeIfThere(join(folder, NAME))
  await writeTag(folder)
}
