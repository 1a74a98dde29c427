/**
 * Opens a store, does what the arguments say, prints `ready`, and stays until it is killed.
 * Arguments: <compiled store> <folder> (lease | gc-lease | scratch:<name> | part:<name>:<text> | blob)…
 */
import { open } from 'node:fs/promises'
import { join } from 'node:path'

const [compiled, folder, ...orders] = process.argv.slice(2)
const { openFileStore } = await import(`${compiled}/store/file-store.js`)
const { takeGcLease } = await import(`${compiled}/store/using.js`)
const store = await openFileStore(folder, { leaseTimes: { heartbeatMs: 50, staleMs: 400 } })
const held = []
for (const order of orders) {
  const [what, name, text] = order.split(':')
  if (what === 'lease') held.push(await store.leaseForBuild({ onWait: () => console.log('waiting') }))
  if (what === 'gc-lease') held.push(await takeGcLease(store.layout, store.leaseTimes))
  if (what === 'scratch') console.log(`scratch ${await store.scratch(name)}`)
  if (what === 'part') {
    const part = await open(join(await store.scratch(name), 'part'), 'a')
    await part.write(text)
    held.push(part)
    // What a frozen process does when it wakes: it goes on writing.
    process.on('SIGUSR2', async () => {
      await part.write('GHOST')
      console.log('wrote on')
    })
  }
  if (what === 'blob') {
    const writer = await store.createBlob()
    await writer.write(Buffer.alloc(1 << 20, 7))
    held.push(writer)
  }
}
for (const one of held) one.lost?.addEventListener('abort', () => console.log('lost'))
console.log('ready')
setInterval(() => held, 1000)
