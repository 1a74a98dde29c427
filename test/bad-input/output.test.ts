/** A stdout or stderr that cannot be written: one error, or work that goes on; never a stack trace. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { customJson, goodLines, Lab, ROOT, recipeOf } from './support.ts'

/** Answers every write with ENOSPC; Linux has it. */
const full = '/dev/full'

function shell(line: string, lab: Lab): Promise<{ stdout: string; stderr: string }> {
  const command = `${process.execPath} ${join(ROOT, 'dist', 'cli', 'shardmill.cjs')}`
  const env = { PATH: process.env['PATH'], HOME: lab.dir, SHARDMILL_STORE: lab.store, S: command }
  return new Promise((done) => {
    execFile('bash', ['-c', line], { cwd: lab.dir, env }, (_, stdout, stderr) => done({ stdout, stderr }))
  })
}

test.skipIf(!existsSync(full))('the disk that stdout or stderr goes to is full', async () => {
  const lab = new Lab()
  lab.write('a.jsonl', goodLines)
  lab.recipe(recipeOf(customJson))

  for (const line of ['build recipe.yaml --out out', 'build recipe.yaml --out out --json', 'schema']) {
    const { stdout, stderr } = await shell(`$S ${line} >${full}; echo $?`, lab)
    expect(stdout).toBe('1\n')
    expect(stderr).toContain('error: what was to be printed cannot be written (ENOSPC)\nhint: ')
    expect(stderr).not.toMatch(/^\s+at .+[:(]/m)
  }
  expect(existsSync(join(lab.out, 'manifest.json'))).toBe(true)

  const quietly = await shell(`$S build recipe.yaml --out out2 --verbose 2>${full}; echo $?`, lab)
  expect(quietly.stdout).toMatch(/out2: \d+ files written\n0\n$/)
})
