/** CACHEDIR.TAG: tells backup tools that the folder can be made again. */

import { join } from 'node:path'
import {
  closeQuietly,
  errno,
  openNew,
  readSmallFile,
  removeIfThere,
  rename,
  statIfThere,
  writeAll,
} from './fs-calls.ts'

const NAME = 'CACHEDIR.TAG'
const CONTENT = `Signature: 8a477f597d28d172789f06886806bc55
# This folder is a cache of shardmill: it may be deleted, and backups may leave it out.
# About this file: https://bford.info/cachedir/
`

export async function hasTag(folder: string): Promise<boolean> {
  return (await statIfThere(join(folder, NAME))) !== undefined
}

/** Writes the tag, whole or not at all, by way of a temporary file; without room on the disk it is left out. */
export async function writeTag(folder: string, temporary: string): Promise<void> {
  try {
    const handle = await openNew(temporary)
    try {
      await writeAll(handle, Buffer.from(CONTENT))
    } finally {
      await closeQuietly(handle)
    }
    await rename(temporary, join(folder, NAME))
  } catch (error) {
    await removeIfThere(temporary).catch(() => undefined)
    if (errno(error) !== 'ENOSPC' && errno(error) !== 'EDQUOT') throw error
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
