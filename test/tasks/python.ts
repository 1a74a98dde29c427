import { spawnSync } from 'node:child_process'

/** Tests that run programs need Python 3, as their users do. Where there is none they are left out, and say so. */
export const hasPython = spawnSync(process.env['SHARDMILL_PYTHON'] ?? 'python3', ['-c', 'pass']).status === 0

if (!hasPython) {
  process.stderr.write(
    '\nNO PYTHON 3 HERE: the tests that run programs are LEFT OUT (put python3 on the PATH, or set SHARDMILL_PYTHON)\n',
  )
}
