import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { ShardmillError } from '../errors/index.ts'

/** Random access to a file's bytes; synchronous, since stages run in worker threads. */
export interface ByteSource {
  /** How errors name the file: as the user knows it, not the path it happens to have here. */
  readonly name: string
  readonly size: number
  /** Exactly `length` bytes from `offset`; BAD_FILE when the file does not have them. The caller may keep them. */
  read(offset: number, length: number): Uint8Array
  /** The same into memory that is there; for sources that can do so without an array of their own. */
  readInto?(bytes: Uint8Array, offset: number): void
}

/** Opens a file for reading. Errors: NOT_FOUND when there is none, BAD_FILE when it cannot be read. */
export function openByteSource(path: string, name: string): ByteSource & { close(): void } {
  const fd = attempt(name, () => openSync(path, 'r'))
  let open = true
  let size: number
  try {
    size = attempt(name, () => {
      const stat = fstatSync(fd)
      if (!stat.isFile()) throw Object.assign(new Error('it is not a file'), { code: 'EISDIR' })
      return stat.size
    })
  } catch (error) {
    closeSync(fd)
    throw error
  }
  const readInto = (bytes: Uint8Array, offset: number) => {
    const { length } = bytes
    for (let done = 0; done < length; ) {
      const got = attempt(name, () => readSync(fd, bytes, done, length - done, offset + done))
      if (got === 0) throw endsEarly(name, offset, length, offset + done)
      done += got
    }
  }
  const check = (offset: number, length: number) => {
    if (!(offset >= 0 && length >= 0 && offset + length <= size)) throw endsEarly(name, offset, length, size)
  }
  return {
    name,
    size,
    read(offset, length) {
      check(offset, length)
      const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
      readInto(bytes, offset)
      return bytes
    },
    readInto(bytes, offset) {
      check(offset, bytes.length)
      readInto(bytes, offset)
    },
    close() {
      if (open) closeSync(fd)
      open = false
    },
  }
}

/** Bytes in memory as a source. */
export function bytesSource(bytes: Uint8Array, name: string): ByteSource {
  const part = (offset: number, length: number) => {
    if (!(offset >= 0 && length >= 0 && offset + length <= bytes.length)) {
      throw endsEarly(name, offset, length, bytes.length)
    }
    return bytes.subarray(offset, offset + length)
  }
  return {
    name,
    size: bytes.length,
    read: (offset, length) => part(offset, length).slice(),
    readInto: (into, offset) => into.set(part(offset, into.length)),
  }
}

function attempt<T>(name: string, act: () => T): T {
  for (;;) {
    try {
      return act()
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (code === 'EINTR') continue
      if (code === 'ENOENT') {
        throw new ShardmillError('NOT_FOUND', 'the file does not exist.', {
          at: { file: name },
          cause: error,
        })
      }
      throw new ShardmillError('BAD_FILE', `the file cannot be read (${code ?? 'unknown error'}).`, {
        at: { file: name },
        hint: 'Check the disk and the file’s permissions.',
        retryable: code === 'EIO' || code === 'EMFILE' || code === 'ENFILE' || code === 'EAGAIN',
        cause: error,
      })
    }
  }
}

function endsEarly(name: string, offset: number, length: number, size: number): ShardmillError {
  return new ShardmillError(
    'BAD_FILE',
    `the file ends at byte ${size}, but ${length} bytes were expected at ${offset}.`,
    { at: { file: name }, hint: 'The file is incomplete. Download it again.' },
  )
}
