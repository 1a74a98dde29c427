import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // They end what hangs, and measure nothing: a busy machine takes several times as long as a free one.
    testTimeout: 240_000,
    hookTimeout: 120_000,
    // Two cores is the smallest machine we plan for; several suites start builds of their own.
    maxWorkers: 2,
  },
})
