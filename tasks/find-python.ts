/** Which Python runs programs, and what keeps them apart from the machine: found out once a process. */
import { execFile } from 'node:child_process'
import { ShardmillError } from '../errors/index.ts'

export interface PythonCommand {
  /** The interpreter itself: a version manager's shim would need more environment than a program gets. */
  readonly python: string
  /** Command and arguments that the interpreter and its arguments are appended to; empty: none. */
  readonly wrapper: readonly string[]
}

/** The whole environment of a program. */
export const programEnv = { PATH: '/usr/bin:/bin' } as const

/**
 * The first process of the program's own Linux namespaces. It is a shell, since signals do not end a first process.
 * `env` takes away what a shell adds to the environment; what the shell itself says of signals goes nowhere. While the
 * program has left processes behind, its time runs on, as it does for the reference while they hold its output open.
 */
const first = `exec 4>&2 2>/dev/null
( exec env -i PATH="$PATH" "$@" 2>&4 4>&- )
code=$?
while kill -s 0 -- -1; do sleep 0.1; done
exit "$code"`

/** No network but a dead loopback, and no process outlives the program. */
const apart = [
  ...['unshare', '--user', '--map-current-user', '--net', '--pid', '--fork', '--kill-child=KILL', '--'],
  ...['sh', '-c', first, 'sh'],
]

/** Whether `print(1)` runs so, as it does for programs: a failure's last words, or undefined. */
export type Try = (command: PythonCommand) => Promise<string | undefined>

const known = new Map<string, Promise<PythonCommand>>()

/**
 * SHARDMILL_PYTHON, else `python3` of the PATH.
 *
 * Errors: NOT_FOUND where there is none, it is no Python 3, or it does not start with a bare environment.
 */
export function findPython(works: Try): Promise<PythonCommand> {
  const { SHARDMILL_PYTHON } = process.env
  const asked = SHARDMILL_PYTHON === undefined || SHARDMILL_PYTHON === '' ? 'python3' : SHARDMILL_PYTHON
  let found = known.get(asked)
  if (found === undefined) {
    found = find(asked, works)
    known.set(asked, found)
    // Whoever installs one and asks again is heard.
    found.catch(() => known.delete(asked))
  }
  return found
}

async function find(asked: string, works: Try): Promise<PythonCommand> {
  if (process.platform === 'win32') {
    throw new ShardmillError(
      'NOT_FOUND',
      'programs are run on Linux and macOS only: Windows has no limits to hold them to',
      {
        hint: 'Use WSL.',
      },
    )
  }
  const python = await interpreterOf(asked)
  if (process.platform === 'linux') {
    const command = { python, wrapper: apart }
    if ((await works(command)) === undefined) return command
  }
  const command = { python, wrapper: [] }
  const failure = await works(command)
  if (failure === undefined) return command
  throw new ShardmillError(
    'NOT_FOUND',
    `the Python at ${python} cannot run a program in the sandbox: ${failure}`,
    {
      hint: 'Name another Python 3 with SHARDMILL_PYTHON.',
    },
  )
}

function interpreterOf(asked: string): Promise<string> {
  const hint =
    'Install Python 3, or name its executable with SHARDMILL_PYTHON. It runs the programs of HumanEval.'
  return new Promise((done, failed) => {
    const ask = ['-c', 'import sys; print(sys.version_info[0]); print(sys.executable)']
    execFile(asked, ask, { timeout: 60_000, encoding: 'utf8' }, (error, stdout) => {
      const [version, executable] = stdout.split(/\r?\n/)
      if (error === null && version === '3' && executable !== undefined && executable !== '')
        return done(executable)
      const why =
        (error as NodeJS.ErrnoException | null)?.code === 'ENOENT'
          ? `there is no Python: ${asked === 'python3' ? 'python3 is not on the PATH' : `SHARDMILL_PYTHON names ${asked}, which is not there`}`
          : `${asked} is no Python 3 that runs`
      failed(new ShardmillError('NOT_FOUND', why, { hint }))
    })
  })
}
