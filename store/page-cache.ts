/**
 * Telling the kernel that a file will not be read again soon (posix_fadvise, POSIX_FADV_DONTNEED). Its pages are used
 * for what is written next, in place of fresh ones: those push other programs' files out of memory, and in a virtual
 * machine that gives free memory back to its host each one has to be asked for again, at 3 to 4 s a GB.
 *
 * Node has no such call but for WebAssembly programs (node:wasi), so it is made as if one asked for it. That interface
 * is experimental: whatever is not as expected, nothing is dropped, which is only slower.
 */
import { createRequire } from 'node:module'

/** Names and numbers of WASI preview 1. */
interface Wasi {
  path_open(
    folder: number,
    lookup: number,
    path: number,
    pathBytes: number,
    open: number,
    rights: bigint,
    inherited: bigint,
    flags: number,
    opened: number,
  ): number
  fd_advise(fd: number, offset: bigint, bytes: bigint, advice: number): number
  fd_close(fd: number): number
}
const rootFolder = 3
const readAndAdvise = (1n << 1n) | (1n << 7n)
const dontNeed = 4
const pathAt = 8

interface Advisor {
  readonly calls: Wasi
  readonly memory: Uint8Array
}

let advisor: Advisor | null | undefined

/** Drops what is durable of a file (an absolute path) from the page cache. False where that cannot be. Never throws. */
export function dropFromPageCache(path: string): boolean {
  if (advisor === undefined) advisor = process.platform === 'linux' ? makeAdvisor() : null
  if (advisor === null) return false
  try {
    const { calls, memory } = advisor
    const name = Buffer.from(path.slice(1))
    memory.set(name, pathAt)
    if (calls.path_open(rootFolder, 0, pathAt, name.length, 0, readAndAdvise, 0n, 0, 0) !== 0) return false
    const fd = new DataView(memory.buffer).getUint32(0, true)
    try {
      return calls.fd_advise(fd, 0n, 0n, dontNeed) === 0
    } finally {
      calls.fd_close(fd)
    }
  } catch {
    return false
  }
}

function makeAdvisor(): Advisor | null {
  const { emitWarning } = process
  try {
    // Users can do nothing about its being experimental.
    process.emitWarning = () => {}
    const { WASI } = createRequire(import.meta.url)('node:wasi') as typeof import('node:wasi')
    const wasi = new WASI({ version: 'preview1', preopens: { '/': '/' } })
    const memory = new WebAssembly.Memory({ initial: 1 })
    wasi.initialize({ exports: { memory } })
    return { calls: wasi.wasiImport as unknown as Wasi, memory: new Uint8Array(memory.buffer) }
  } catch {
    return null
  } finally {
    process.emitWarning = emitWarning
  }
}
