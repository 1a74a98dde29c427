/** The terminal: help, suggestions, colours, what goes to which stream, control codes, readers that leave. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  conversation,
  customJson,
  expectClean,
  jsonLines,
  Lab,
  ROOT,
  recipeOf,
  shardmill,
} from './support.ts'

const main = join(ROOT, 'dist', 'cli', 'shardmill.cjs')

/** A shell line, with `$S` for the command line. */
function shell(line: string, cwd: string): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((done) => {
    const env = { PATH: process.env['PATH'], HOME: cwd, S: `${process.execPath} ${main}` }
    execFile('bash', ['-c', `set -o pipefail; ${line}`], { cwd, env }, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}

const evil = '\u001b]0;owned\u0007\u001b[2J\u009b31m\u202ecod\u2028e\r\b'
let lab: Lab
beforeAll(async () => {
  lab = new Lab()
  lab.write(
    'a.jsonl',
    jsonLines([
      conversation(evil, `${evil} yes`),
      ...Array.from({ length: 3000 }, (_, i) => conversation(`question ${i}`, 'answer')),
    ]),
  )
  await lab.builds(
    recipeOf({ ...customJson, label: `evil ${evil}` }, { maxSeqLen: 512, shardTokens: 100_000_000 }),
  )
})
const here = (...args: string[]) => shardmill(args, { cwd: lab.dir, env: { SHARDMILL_STORE: lab.store } })

describe.concurrent('help', () => {
  const commands = [
    ['build'],
    ['plan'],
    ['verify'],
    ['inspect'],
    ['trace'],
    ['store', 'ls'],
    ['store', 'check'],
    ['store', 'gc'],
    ['hub'],
    ['demo'],
    ['schema'],
    ['completion'],
  ]
  test.each(commands)('%s %s', async (...command) => {
    const ran = await shardmill([...command.filter((part) => typeof part === 'string'), '--help'])
    expect(ran.code).toBe(0)
    expect(ran.stderr).toBe('')
    expect(ran.stdout).toMatch(/^Usage: shardmill /)
    expect(ran.stdout).toMatch(/Examples?:\n {2}\$ /)
    expectClean(ran.stdout)
  })

  test('all commands are listed, and the version is the package’s', async () => {
    const ran = await shardmill(['--help'])
    for (const [command] of commands) expect(ran.stdout).toMatch(new RegExp(`^  ${command}\\b`, 'm'))
    expect((await shardmill(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})

describe.concurrent('usage', () => {
  const wrong: [args: string[], says: RegExp][] = [
    [['biuld', 'r.yaml'], /unknown command 'biuld'[\s\S]*Did you mean build\?/],
    [['store', 'chekc'], /unknown command 'chekc'[\s\S]*Did you mean check\?/],
    [['verify', 'out', '--jsno'], /unknown option '--jsno'[\s\S]*Did you mean --json\?/],
    [['build', 'r.yaml', '--out', 'x', '--sett', 'y'], /unknown option '--sett'[\s\S]*Did you mean --set\?/],
    [['build', 'r.yaml', '--ot', 'x'], /unknown option '--ot'[\s\S]*Did you mean --out\?/],
    [['build', 'r.yaml'], /required option '--out <dir>' not specified/],
    [['build', '--out', 'x'], /missing required argument 'recipe'/],
    [['build', 'a', 'b', '--out', 'x'], /too many arguments/],
    [['build', 'a', '--out'], /option '--out <dir>' argument missing/],
    [['completion', 'tcsh'], /no completion for tcsh; there is bash, zsh and fish/],
    [['hub', '.', '--port', 'http'], /--port is "http", expected a whole number/],
    [
      ['build', 'recipe.yaml', '--out', 'x', '--threads', '0'],
      /--threads is "0", expected a whole number from 1 to 1024/,
    ],
    [['build', 'recipe.yaml', '--out', 'x', '--threads', '1025'], /expected a whole number from 1 to 1024/],
    [['worker', '--concurrency', '1000000'], /--concurrency is "1000000", .+ from 1 to 1024/],
    [['dev', '--concurrency', '1000000'], /--concurrency is "1000000", .+ from 1 to 1024/],
  ]
  test.each(wrong)('%j', async (args, says) => {
    const ran = await here(...args)
    expect(ran.stderr).toMatch(says)
    expect(ran.stderr).not.toMatch(/^\s+at .+[:(]/m)
    expectClean(ran.stderr)
    expect(ran.stdout).toBe('')
    expect(ran.code).toBe(2)
  })

  test('an empty --store is refused, as an empty --out is', async () => {
    for (const args of [
      ['build', 'recipe.yaml', '--out', 'x', '--store', ''],
      ['build', 'recipe.yaml', '--out', ''],
      ['store', 'ls', '--store', ' '],
    ]) {
      const ran = await here(...args)
      expect(ran.code).toBe(2)
      expect(ran.stderr).toMatch(/^error: --(store|out) is empty\nhint: /)
    }
  })

  test('the usual store: a relative XDG_CACHE_HOME is ignored, and without a home there is none', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'shardmill-home-'))
    try {
      const plan = (env: Record<string, string>) =>
        shardmill(['store', 'ls', '--json'], { cwd: dir, env: { ...env, SHARDMILL_STORE: undefined } })
      const home = join(dir, 'home')
      const usual = join(home, '.cache', 'shardmill')
      for (const XDG_CACHE_HOME of ['rel', './rel', ''])
        expect(JSON.parse((await plan({ HOME: home, XDG_CACHE_HOME })).stdout)).toMatchObject({
          store: usual,
        })
      const named = await plan({ HOME: '', XDG_CACHE_HOME: join(dir, 'cache') })
      expect(JSON.parse(named.stdout)).toMatchObject({ store: join(dir, 'cache', 'shardmill') })
      for (const HOME of ['', 'rel']) {
        const without = await plan({ HOME, XDG_CACHE_HOME: 'rel' })
        expect(without.code).toBe(2)
        expect(without.stderr).toContain('there is no home folder')
        expect(without.stderr).toContain('--store')
      }
      expect(readdirSync(dir)).toEqual([])
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })

  test('with --json, too, stdout has one object', async () => {
    for (const args of [
      ['biuld', '--json'],
      ['build', 'r.yaml', '--json'],
      ['verify', '--jsno', '--json'],
    ]) {
      const ran = await here(...args)
      expect(ran.code).toBe(2)
      expect(JSON.parse(ran.stdout)).toMatchObject({
        schema: 1,
        error: { code: 'USAGE', message: expect.stringMatching(/unknown|not specified/) },
      })
    }
  })

  test('no command at all shows the help', async () => {
    const ran = await here()
    expect(ran.code).toBe(2)
    expect(ran.stderr).toMatch(/Usage: shardmill/)
  })
})

describe.concurrent('streams', () => {
  const json: string[][] = [
    ['plan', 'recipe.yaml', '--json'],
    ['verify', 'out', '--json'],
    ['inspect', 'out/sft_train_000000.bin', '--json'],
    ['trace', 'out/sft_train_000000.bin', '--json'],
    ['store', 'ls', '--json'],
    ['store', 'check', '--json'],
    ['build', 'recipe.yaml', '--out', 'out', '--json'],
  ]
  test.each(json)('%s %s %s: one JSON object on stdout, nothing on stderr', async (...args) => {
    const ran = await here(...args)
    expect(ran.code, ran.stderr).toBe(0)
    expect(ran.stderr).toBe('')
    expect(ran.stdout.match(/\n/g)).toHaveLength(1)
    expect(JSON.parse(ran.stdout)).toMatchObject({ schema: 1 })
    expectClean(ran.stdout)
  })

  const plain: string[][] = [
    ['plan', 'recipe.yaml'],
    ['verify', 'out'],
    ['inspect', 'out/sft_train_000000.bin', '--conversations', '3001'],
    ['trace', 'out/sft_train_000000.bin', '--full'],
    ['store', 'ls'],
    ['store', 'check'],
    ['build', 'recipe.yaml', '--out', 'out', '--verbose'],
    ['build', 'recipe.yaml', '--out', 'out2'],
  ]
  test.each(plain)('%s %s %s: no control code reaches the terminal', async (...args) => {
    const ran = await here(...args)
    expect(ran.code, ran.stderr).toBe(0)
    expectClean(ran.stdout)
    expectClean(ran.stderr)
    expect(`${ran.stdout}${ran.stderr}`).not.toMatch(/[\u2028\u202e]/)
  })

  test('--quiet: no summaries of what went well, but whatever was asked for', async () => {
    for (const args of [
      ['build', 'recipe.yaml', '--out', 'out'],
      ['verify', 'out'],
      ['store', 'check'],
      ['store', 'gc', '--yes'],
    ])
      expect(await here(...args, '--quiet')).toMatchObject({ code: 0, stdout: '', stderr: '' })
    for (const args of [
      ['verify', 'out', '--json'],
      ['inspect', 'out/sft_train_000000.bin'],
      ['trace', 'out/sft_train_000000.bin'],
      ['plan', 'recipe.yaml'],
      ['store', 'ls'],
      ['store', 'gc', '--dry-run'],
    ]) {
      const ran = await here(...args, '--quiet')
      expect(ran).toMatchObject({ code: 0, stderr: '' })
      expect(ran.stdout).not.toBe('')
    }
    const failed = await here('verify', '.', '--quiet')
    expect(failed).toMatchObject({ code: 1, stdout: '' })
    expect(failed.stderr).toMatch(/^error: /)
  })

  test('what the data holds is shown, harmless', async () => {
    const at = JSON.parse(
      (await here('inspect', 'out/sft_train_000000.bin', '--conversations', '3001', '--json')).stdout,
    ) as { conversations: { start: number; spans: { text: string }[] }[] }
    const { start, spans } = at.conversations.find(({ spans }) =>
      spans.some(({ text }) => text.includes('owned')),
    )!
    // In JSON it is the text itself …
    expect(spans.map(({ text }) => text).join('')).toContain(evil)
    // … and on a terminal, colours or not, it is spelt out.
    for (const env of [{}, { FORCE_COLOR: '1' }]) {
      const shown = await shardmill(
        ['inspect', 'out/sft_train_000000.bin', '--at', String(start), '--conversations', '1'],
        { cwd: lab.dir, env: { SHARDMILL_STORE: lab.store, ...env } },
      )
      expect(shown.stdout).toContain(
        '\\u001b]0;owned\\u0007\\u001b[2J\\u009b31m\\u202ecod\\u2028e\\u000d\\u0008',
      )
      expectClean(shown.stdout.replace(/\u001b\[\d+m/g, ''))
      expect(shown.stdout).not.toContain('\u001b[2J')
    }
  })

  test('NO_COLOR, FORCE_COLOR, TERM=dumb', async () => {
    const colour = async (env: Record<string, string>) => {
      const ran = await shardmill(['inspect', 'out/sft_train_000000.bin', '--conversations', '1'], {
        cwd: lab.dir,
        env: { SHARDMILL_STORE: lab.store, ...env },
      })
      return ran.stdout.includes('\u001b[')
    }
    expect(await colour({})).toBe(false)
    expect(await colour({ FORCE_COLOR: '1' })).toBe(true)
    expect(await colour({ FORCE_COLOR: '0' })).toBe(false)
    expect(await colour({ FORCE_COLOR: '1', NO_COLOR: '1' })).toBe(false)
    expect(await colour({ TERM: 'dumb' })).toBe(false)
    const failed = await shardmill(['verify', 'nope'], { env: { FORCE_COLOR: '1' } })
    expect(failed.stderr).toContain('\u001b[31merror:\u001b[39m')
  })
})

describe.concurrent('a reader that leaves', () => {
  const lines = [
    'inspect out/sft_train_000000.bin --conversations 3001',
    'inspect out/sft_train_000000.bin --conversations 3001 --json',
    'trace out/sft_train_000000.bin --json',
    'schema',
    '--help',
    'build --help',
    'completion bash',
    'plan recipe.yaml',
    'store ls',
    'build recipe.yaml --out out3',
  ]
  test.each(lines)('%s | head -1', async (line) => {
    const ran = await shell(
      `SHARDMILL_STORE=store $S ${line} 2>err | head -1; echo "\${PIPESTATUS[0]}"; cat err >&2`,
      lab.dir,
    )
    expect(ran.stdout.trimEnd().split('\n').at(-1)).toBe('0')
    expect(ran.stderr).not.toMatch(/EPIPE|^\s+at .+[:(]/m)
  })

  test('stderr closed', async () => {
    const ran = await shell(
      'SHARDMILL_STORE=store $S build recipe.yaml --out out4 2>&- >/dev/null; echo $?',
      lab.dir,
    )
    expect(ran.stdout.trim()).toBe('0')
    const broken = await shell(
      'SHARDMILL_STORE=store $S build recipe.yaml --out out5 --verbose 2> >(true) | tail -1',
      lab.dir,
    )
    expect(broken.stdout).toContain('out5: ')
  })
})
