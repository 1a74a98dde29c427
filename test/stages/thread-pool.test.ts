import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { ThreadPool } from '../../stages/thread-pool.ts'

interface Task {
  readonly name: string
  readonly do?: 'hold' | 'settle' | 'exit' | 'throw'
  readonly release?: readonly string[]
}

interface Echo {
  readonly thread: number
  readonly name: string
}

const file = fileURLToPath(new URL('./echo-thread.mjs', import.meta.url))
const pools: ThreadPool<Task, Echo>[] = []

function pool(threads: number, from = file) {
  const made = new ThreadPool<Task, Echo>({
    file: from,
    threads,
    execArgv: [],
    computing: 1,
    inHand: 2,
    idleMs: 60_000,
  })
  pools.push(made)
  return made
}

afterEach(async () => {
  for (const each of pools.splice(0)) await each.close()
})

const never = new AbortController().signal

describe('threads', () => {
  test('two tasks that compute are on two threads', async () => {
    const threads = pool(2)
    const a = threads.run({ name: 'a', do: 'hold' }, never)
    const b = await threads.run({ name: 'b' }, never)
    const stop = new AbortController()
    const c = threads.run({ name: 'c', do: 'hold' }, stop.signal)
    stop.abort()
    await expect(c).rejects.toMatchObject({ name: 'AbortError' })
    a.catch(() => {})
    expect(b.name).toBe('b')
  })

  test('a task that computes keeps the next from its thread, one that settles does not', async () => {
    const threads = pool(1)
    const order: string[] = []
    const run = (task: Task) => threads.run(task, never).then(({ name }) => order.push(name))
    const settling = run({ name: 'settling', do: 'settle' })
    const next = run({ name: 'next' })
    await next
    expect(order).toEqual(['next'])
    await run({ name: 'last', release: ['settling'] })
    await settling
    expect(order.sort()).toEqual(['last', 'next', 'settling'])
  })

  test('a task given up ends its thread; what else was on it is done again', async () => {
    const threads = pool(1)
    const stop = new AbortController()
    const settling = threads.run({ name: 'settling', do: 'settle' }, stop.signal)
    const first = await threads.run({ name: 'first' }, never)
    const failed = expect(settling).rejects.toMatchObject({ name: 'AbortError' })
    stop.abort()
    await failed
    const again = await threads.run({ name: 'again' }, never)
    expect(again.thread).not.toBe(first.thread)
  })

  test('a waiting task that is given up is never begun, the others are', async () => {
    const threads = pool(1)
    const stop = new AbortController()
    const held = threads.run({ name: 'held', do: 'hold' }, stop.signal)
    const waiting = threads.run({ name: 'waiting', do: 'exit' }, stop.signal)
    const other = threads.run({ name: 'other' }, never)
    stop.abort()
    await expect(held).rejects.toMatchObject({ name: 'AbortError' })
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' })
    expect((await other).name).toBe('other')
  })

  test('an error is the task’s own; a thread that ends fails what it had in hand, and another one takes its place', async () => {
    const threads = pool(1)
    await expect(threads.run({ name: 'no', do: 'throw' }, never)).rejects.toThrow('no')
    await expect(threads.run({ name: 'end', do: 'exit' }, never)).rejects.toThrow('exit code 3')
    expect((await threads.run({ name: 'after' }, never)).name).toBe('after')
  })

  test('when no thread can start, every task fails', async () => {
    const threads = pool(2, `${file}.missing`)
    const all = ['a', 'b', 'c'].map((name) => threads.run({ name }, never))
    for (const each of await Promise.allSettled(all)) expect(each.status).toBe('rejected')
    await expect(threads.run({ name: 'd' }, never)).rejects.toThrow()
  })

  test('closing gives up what runs and what waits', async () => {
    const threads = pool(1)
    const held = expect(threads.run({ name: 'held', do: 'hold' }, never)).rejects.toMatchObject({
      name: 'AbortError',
    })
    const waiting = expect(threads.run({ name: 'waiting' }, never)).rejects.toMatchObject({
      name: 'AbortError',
    })
    threads.warm()
    await threads.close()
    await Promise.all([held, waiting])
  })
})
