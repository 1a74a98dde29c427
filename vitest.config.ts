import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // They end what hangs, and measure nothing: a busy machine takes several times as long as a free one.
    testTimeout: 240_000,
    hookTimeout: 120_000,
    // Two cores is the smallest machine we plan for; several suites start builds of their own.
    maxWorkers: 2,
    // Memory that is read after it was given back then holds no plausible data.
    env: { SHARDMILL_POISON_SCRATCH: '1' },
  },
})
