/** Runs another program of this folder in a worker thread. Arguments: <compiled store> <program> <its arguments>… */
import { Worker } from 'node:worker_threads'

const [compiled, program, ...args] = process.argv.slice(2)
const thread = new Worker(new URL(program, import.meta.url), { argv: [compiled, ...args] })
thread.on('exit', (code) => {
  process.exitCode = code
})
