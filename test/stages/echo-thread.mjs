/** A thread for thread-pool.test.ts: does what a task says. */
import { parentPort, threadId } from 'node:worker_threads'

const held = new Map()

parentPort.on('message', ({ id, task }) => {
  const done = () =>
    parentPort.postMessage({ kind: 'done', id, result: { thread: threadId, name: task.name } })
  if (task.do === 'exit') process.exit(3)
  if (task.do === 'throw') parentPort.postMessage({ kind: 'failed', id, error: new Error(task.name) })
  else if (task.do === 'hold') held.set(task.name, done)
  else if (task.do === 'settle') {
    held.set(task.name, done)
    parentPort.postMessage({ kind: 'settling', id })
  } else {
    for (const release of task.release ?? []) held.get(release)?.()
    done()
  }
})
parentPort.postMessage({ kind: 'ready' })
