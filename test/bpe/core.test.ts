import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { CORE_SOURCES } from '../../bpe/core-bytes.ts'

test('the module was made from the sources that lie here', () => {
  const folder = new URL('../../bpe/core/', import.meta.url)
  const hash = createHash('sha256')
  for (const name of readdirSync(folder).sort()) hash.update(name).update(readFileSync(new URL(name, folder)))
  expect(CORE_SOURCES, 'run scripts/build-bpe-core.mjs').toBe(hash.digest('hex'))
})
