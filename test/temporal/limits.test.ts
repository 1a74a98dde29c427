/** Limits of a build on Temporal, out of the environment. */
import { afterEach, expect, test, vi } from 'vitest'
import { limits } from '../../cli/temporal/limits.ts'

afterEach(() => vi.unstubAllEnvs())

test('are what the environment says', () => {
  expect(limits()).toEqual({})
  vi.stubEnv('SHARDMILL_HEARTBEAT_TIMEOUT_MS', '86400000')
  vi.stubEnv('SHARDMILL_HISTORY_LIMIT', '100')
  expect(limits()).toEqual({ heartbeatMs: 86_400_000, history: 100 })
})

test.each(['999', '86400001', '9007199254740991', '-1', '2 s', ''])(
  'a heartbeat of %j is refused',
  (value) => {
    vi.stubEnv('SHARDMILL_HEARTBEAT_TIMEOUT_MS', value)
    expect(limits).toThrow(
      expect.objectContaining({ code: 'USAGE', message: expect.stringContaining('from 1000 to 86400000') }),
    )
  },
)
