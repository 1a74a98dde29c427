/** Programs in the sandbox: what the reference reports of them, and what they must not be able to do. */
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { evaluateProgram, runPython, runsApart } from '../../tasks/index.ts'
import { hasPython } from './python.ts'
import { vectors } from './vectors.ts'

const linux = process.platform === 'linux'
/** Vectors that hold on Linux only: the reference limits no memory elsewhere, and variables differ. */
const ofLinux = /bytearray|environ/

describe.runIf(hasPython)('runPython', () => {
  test.each(vectors.execute_code.filter(([code]) => linux || !ofLinux.test(code)))(
    '%j',
    async (code, expected) => {
      const { success, stdout, error, timeout, memoryExceeded } = await runPython(code)
      expect({ success, stdout, error, timeout, memory_exceeded: memoryExceeded }).toEqual(expected)
    },
    60_000,
  )

  const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('shardmill-program-'))
  const seconds = 2

  test('a program longer than an argument may be runs, and what it prints comes back as text', async () => {
    const { success, stdout } = await runPython(`${'# é\n'.repeat(200_000)}print('ü\\r\\n€')`)
    expect([success, stdout]).toEqual([true, 'ü\n€\n'])
  })

  test('a program that floods both streams is read to its end, and a mebibyte of each is kept', async () => {
    const flood = `import sys
for i in range(300):
    sys.stdout.write('x' * 100000)
    sys.stderr.write('e' * 100000)
print('end')
sys.stderr.write('\\nlast line')
sys.exit(1)`
    const { stdout, stderr, error, success } = await runPython(flood, { seconds: 30 })
    expect([success, error, stdout.length, stderr.length]).toEqual([false, 'last line', 1 << 20, 1 << 20])
    expect(/^x+$/.test(stdout)).toBe(true)
  }, 60_000)

  test('a program that floods for ever runs out of time', async () => {
    const result = await runPython("while True: print('x' * 10000)", { seconds })
    expect(result).toMatchObject({ success: false, timeout: true, stdout: '', stderr: '' })
  }, 60_000)

  test('writes into its own empty folder, which is gone afterwards, and no large files', async () => {
    const before = folders()
    const own = await runPython(`import glob
print(glob.glob('*'))
with open('f', 'wb') as f:
    f.write(b'x' * 1000)
print(glob.glob('*'))`)
    expect(own.stdout).toBe("[]\n['f']\n")
    const large = await runPython(
      `with open('f', 'wb') as f:
    for i in range(100): f.write(b'x' * (1 << 20))`,
      { seconds: 30 },
    )
    if (linux) expect(large.error).toContain('File too large')
    expect(folders().filter((name) => !before.includes(name))).toEqual([])
  }, 60_000)

  test('neither forks nor starts programs through the usual functions', async () => {
    for (const code of [
      'import os; os.fork()',
      "import subprocess; subprocess.run(['true'])",
      'import multiprocessing as m; p = m.get_context("fork").Process(target=print); p.start()',
    ]) {
      expect(await runPython(code)).toMatchObject({ success: false, timeout: false })
    }
  })

  test.runIf(linux)(
    'nothing it starts by other ways outlives it',
    async () => {
      const marker = `shardmill-left-behind-${process.pid}`
      const leave = (ending: string) => `import ctypes, sys, time
libc = ctypes.CDLL(None)
if libc.fork() == 0:
    ${ending}
    libc.prctl(15, b'${marker.slice(0, 15)}', 0, 0, 0)
    time.sleep(600)
print('parent')
sys.stdout.flush()`
      // The child holds the output open: the program's time runs until it has ended.
      expect(await runPython(leave('pass'), { seconds })).toMatchObject({ success: false })
      const apart = await runsApart()
      if (apart) await runPython(leave('libc.setsid()'), { seconds })
      await expect.poll(() => processesNamed(marker.slice(0, 15))).toEqual([])
    },
    60_000,
  )

  test('exit codes and signals are failures', async () => {
    expect(await runPython('import os; os._exit(7)')).toMatchObject({
      success: false,
      error: 'Execution failed',
    })
    expect(await runPython('import os; os.abort()')).toMatchObject({
      success: false,
      error: 'Execution failed',
    })
    expect(await runPython('import ctypes; ctypes.string_at(0)')).toMatchObject({
      success: false,
      timeout: false,
    })
    expect(await runPython('x = 1\0')).toMatchObject({ success: false, timeout: false })
    expect(await runPython('')).toMatchObject({ success: true, stdout: '', error: null })
  }, 60_000)

  test.runIf(linux)(
    'memory is limited for what it maps as well',
    async () => {
      const { success, memoryExceeded } = await runPython('x = []\nwhile True: x.append(bytearray(1 << 20))')
      expect([success, memoryExceeded]).toEqual([false, true])
      expect((await runPython('x = bytearray(1 << 29)', { memoryBytes: null })).success).toBe(true)
    },
    60_000,
  )

  test('reaches no network where the system lets us keep it away', async () => {
    const server = createServer((socket) => socket.end())
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
    try {
      const { port } = server.address() as { port: number }
      const { success } = await runPython(
        `import socket; socket.create_connection(('127.0.0.1', ${port}), 3)`,
        { seconds: 20 },
      )
      expect(success).toBe(!(await runsApart()))
    } finally {
      server.close()
    }
  }, 60_000)

  test('sees nothing of our environment', async () => {
    process.env['SHARDMILL_TEST_SECRET'] = 'hush'
    try {
      const { stdout } = await runPython(
        "import os; print('SHARDMILL_TEST_SECRET' in os.environ, sorted(os.environ))",
      )
      expect(stdout).toMatch(/^False /)
    } finally {
      delete process.env['SHARDMILL_TEST_SECRET']
    }
  })

  test.each([
    { seconds: 0 },
    { seconds: Number.NaN },
    { seconds: Number.POSITIVE_INFINITY },
    { seconds: 2_000_001 },
    { memoryBytes: 1.5 },
    { memoryBytes: 0 },
  ])('limits that cannot be are an error, and no failure of the program: %j', async (limits) => {
    await expect(runPython('print(1)', limits)).rejects.toMatchObject({ code: 'USAGE' })
  })

  test('a program may have days', async () => {
    expect(await runPython('print(1)', { seconds: 2_000_000 })).toMatchObject({ success: true })
  })

  test('an abort ends it', async () => {
    const abort = new AbortController()
    const run = runPython('import time; time.sleep(600)', { seconds: 600, signal: abort.signal })
    setTimeout(() => abort.abort(new Error('enough')), 200)
    await expect(run).rejects.toThrow('enough')
  })
})

/** Living ones: a dead one that nobody has waited for is not left behind. */
function processesNamed(name: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const [, found, state] =
        /^\d+ \((.*)\) (.)/s.exec(readFileSync(join('/proc', pid, 'stat'), 'utf8')) ?? []
      return found === name && state !== 'Z'
    } catch {
      return false
    }
  })
}

describe.runIf(hasPython)('evaluateProgram', () => {
  const { conversation, cases } = vectors.humaneval_eval
  test.each(cases)('%j: %s', async (completion, expected) => {
    expect(await evaluateProgram(conversation, completion)).toBe(expected)
  })
})

test('without Python: one error that says what to do', async () => {
  const before = process.env['SHARDMILL_PYTHON']
  process.env['SHARDMILL_PYTHON'] = '/no/such/python'
  try {
    await expect(runPython('pass')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: 'there is no Python: SHARDMILL_PYTHON names /no/such/python, which is not there',
      hint: expect.stringContaining('SHARDMILL_PYTHON'),
    })
    process.env['SHARDMILL_PYTHON'] = process.execPath
    await expect(runPython('pass')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('is no Python 3 that runs'),
    })
  } finally {
    if (before === undefined) delete process.env['SHARDMILL_PYTHON']
    else process.env['SHARDMILL_PYTHON'] = before
  }
})
