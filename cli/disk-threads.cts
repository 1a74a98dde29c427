/**
 * How many threads libuv may have, told before it starts them. Its usual four are not enough for a build: each waits for
 * one sync or one write to the output at a time, and while all wait, threads that could compute do, too. CommonJS,
 * since Node's loader of ES modules has them started before the first module runs.
 */
import os = require('node:os')

/** Copies to the output, and for each worker thread the syncs of the stages it has in hand. */
const usual = 4 + 4 * os.availableParallelism()

process.env['UV_THREADPOOL_SIZE'] ??= String(Math.min(usual, 128))
