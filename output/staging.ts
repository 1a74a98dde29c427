/** Files of an output that are written while the build still goes on: publishing then has little left to do. */
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Digest } from '../store/types.ts'
import { removeLeftovers, siblingName, targetOf } from './siblings.ts'

/** Copies at a time: enough to keep a disk busy, few enough to leave the threads to the stages. */
const copiesAtOnce = 4

export class Staging {
  private readonly dir: string
  private readonly copyOut: (blob: Digest, path: string) => Promise<void>
  private readonly copies = new Map<Digest, Promise<string | undefined>>()
  private folder: Promise<string | undefined> | undefined
  /** The last copy of each lane. */
  private readonly lanes: Promise<unknown>[] = Array.from({ length: copiesAtOnce }, () => Promise.resolve())
  private closed = false

  /** @param copyOut writes a blob to a new file, checked and durable */
  constructor(dir: string, copyOut: (blob: Digest, path: string) => Promise<void>) {
    this.dir = dir
    this.copyOut = copyOut
  }

  /** Begins to write a blob, once some of those before are written. What goes wrong shows when it is published. */
  add(blob: Digest): void {
    if (this.copies.has(blob)) return
    const lane = this.copies.size % copiesAtOnce
    const copy = this.lanes[lane]!.then(async () => {
      this.folder ??= this.makeFolder()
      const folder = await this.folder
      if (folder === undefined || this.closed) return undefined
      const path = join(folder, blob)
      try {
        await this.copyOut(blob, path)
      } catch (error) {
        await rm(path, { force: true }) // it takes the room that publishing will need
        throw error
      }
      return path
    })
    const settled = copy.catch(() => undefined)
    this.copies.set(blob, settled)
    this.lanes[lane] = settled
  }

  /** Gives a file its place in the output, once. False where it was not written. */
  async take(blob: Digest, path: string): Promise<boolean> {
    const copy = this.copies.get(blob)
    this.copies.delete(blob)
    const from = await copy
    if (from === undefined) return false
    await rename(from, path)
    return true
  }

  /** Removes what was not taken. */
  async close(): Promise<void> {
    this.closed = true
    await Promise.all(this.lanes)
    const folder = await this.folder
    // What cannot be removed now goes with the next publish.
    if (folder !== undefined) await rm(folder, { recursive: true, force: true }).catch(() => {})
  }

  private async makeFolder(): Promise<string | undefined> {
    const target = await targetOf(this.dir)
    // A build that fails leaves nothing, no folders above its output either.
    if (!existsSync(dirname(target))) return undefined
    // Builds that were killed may have left as much as will be written now. What cannot be removed, publishing meets again.
    await removeLeftovers(target, ['new']).catch(() => {})
    const folder = siblingName(target, 'new')
    // The output may be for its owner only, and files are moved from here to there.
    return mkdir(folder, { mode: 0o700 }).then(
      () => folder,
      () => undefined,
    )
  }
}
