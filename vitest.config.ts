import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Two cores is the smallest machine we plan for; several suites start builds of their own.
    maxWorkers: 2,
  },
})
