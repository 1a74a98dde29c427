/**
 * Writes a blob and reads it again, in pieces; prints its digest, and how often something else had its
 * turn: while it was written, and before how many of its pieces.
 * Arguments: <compiled store> <store folder> <pieces> <bytes a piece>
 */
const [compiled, folder, pieces, bytes] = process.argv.slice(2)
const { openFileStore } = await import(`${compiled}/store/file-store.js`)
const store = await openFileStore(folder)
let turns = 0
let counting = true
const count = () => {
  turns++
  if (counting) setImmediate(count)
}
setImmediate(count)
const writer = await store.createBlob()
turns = 0 // making and opening the file is waited for anyway
for (let i = 0; i < Number(pieces); i++) await writer.write(Buffer.alloc(Number(bytes), i))
const written = turns
const { digest } = await writer.commit()
let read = 0
for await (const _ of store.readBlob(digest, { reuse: true })) {
  read += Math.min(turns, 1)
  turns = 0
}
counting = false
await store.close()
console.log(JSON.stringify({ digest, written, read }))
