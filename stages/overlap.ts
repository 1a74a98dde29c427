/**
 * overlap: do val and train share conversations?
 *
 * In:  the sorted fingerprints of both splits.   Out: how many stand in both (0 proves the splits disjoint; two
 * different conversations have one fingerprint with a chance of about n·m / 2^64).
 */
import { defineStage, input } from './define-stage.ts'

export const overlap = defineStage({
  name: 'overlap',
  async run(call, { store }) {
    const val = sorted(await store.readBlobBytes(input(call, 'val')))
    const train = sorted(await store.readBlobBytes(input(call, 'train')))
    let found = 0
    let i = 0
    let j = 0
    while (i < val.length && j < train.length) {
      const a = val[i]!
      const b = train[j]!
      if (a === b) found++
      if (a <= b) i++
      if (b <= a) j++
    }
    return { outputs: {}, stats: { overlap: found, val: val.length, train: train.length } }
  },
})

function sorted(bytes: Uint8Array): BigUint64Array {
  return new BigUint64Array(new Uint8Array(bytes).buffer)
}
