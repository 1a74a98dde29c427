/**
 * For `node --import <this file> program`: every file that is opened, synced or renamed under SHARDMILL_TEST_SLOW_PATH
 * takes SHARDMILL_TEST_SLOW_MS longer, so that stages on small data run long enough to be met while they run.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { setTimeout as pause } from 'node:timers/promises'
import { isMainThread } from 'node:worker_threads'

const ms = Number(process.env.SHARDMILL_TEST_SLOW_MS ?? 0)
const under = process.env.SHARDMILL_TEST_SLOW_PATH ?? ''

const concerned = (path) => typeof path === 'string' && path.includes(under)

for (const name of ['open', 'rename']) {
  const original = fs.promises[name]
  fs.promises[name] = async (path, ...rest) => {
    if (concerned(path)) await pause(ms)
    return original(path, ...rest)
  }
}

if (!isMainThread) {
  const { openSync } = fs
  fs.openSync = (path, ...rest) => {
    // The main thread must go on beating; a stage's thread may wait.
    if (concerned(path)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
    return openSync(path, ...rest)
  }
}

syncBuiltinESMExports()
