/** Writes one blob many times in pieces. Arguments: <compiled store> <folder> <bytes> <times>. Prints the digest. */
const [compiled, folder, bytes, times] = process.argv.slice(2)
const { openFileStore } = await import(`${compiled}/store/file-store.js`)
const store = await openFileStore(folder)
const piece = Buffer.alloc(100_000)
let digest = ''
for (let time = 0; time < Number(times); time++) {
  const writer = await store.createBlob()
  for (let at = 0; at < Number(bytes); at += piece.length) {
    for (let i = 0; i < piece.length; i++) piece[i] = (at + i * 31) >>> 3
    await writer.write(piece.subarray(0, Math.min(piece.length, Number(bytes) - at)))
  }
  digest = (await writer.commit()).digest
}
await store.close()
console.log(digest)
