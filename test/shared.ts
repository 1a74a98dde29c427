/**
 * Real datasets in the hub's layout, which are too large for the repository: beside it in ../shared/hub, or in the
 * folder that SHARDMILL_TEST_HUB names. What needs them is held against small committed data elsewhere as well.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe } from 'vitest'

export const sharedHub =
  process.env['SHARDMILL_TEST_HUB'] ?? join(import.meta.dirname, '..', '..', 'shared', 'hub')

const missing = existsSync(join(sharedHub, 'datasets'))
  ? undefined
  : `there are no real datasets here: put them at ${sharedHub}, or name a folder in SHARDMILL_TEST_HUB`

/** A suite that needs them; without, it is left out, loudly. */
export function sharedSuite(name: string, suite: () => void): void {
  if (missing === undefined) {
    describe(name, suite)
    return
  }
  console.warn(`LEFT OUT: ${name}: ${missing}`)
  describe.skip(`${name} (left out: ${missing})`, suite)
}
