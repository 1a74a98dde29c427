/**
 * Reads a blob of three pieces from a disk that takes its time; prints how often it was read in the thread itself, and
 * whether it is the same. Arguments: <compiled store> <store folder>
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const [compiled, folder] = process.argv.slice(2)
const { readSync } = fs
let reads = 0
fs.readSync = (...args) => {
  reads++
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
  return readSync(...args)
}
syncBuiltinESMExports()
const { openFileStore } = await import(`${compiled}/store/file-store.js`)
const { sha256 } = await import(`${compiled}/store/digest.js`)
const store = await openFileStore(folder)
const bytes = Buffer.alloc(3 << 20, 'conversation ')
const { digest } = await store.putBlob(bytes)
const pieces = []
reads = 0
for await (const piece of store.readBlob(digest)) pieces.push(piece)
await store.close()
console.log(JSON.stringify({ reads, same: sha256(Buffer.concat(pieces)) === sha256(bytes) }))
