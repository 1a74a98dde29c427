/** What stands before a program in the sandbox's Python. */
import { ShardmillError } from '../errors/index.ts'

/** Where Python finds the program: standard input is closed to it, and an argument could be too long. */
export const programFd = 3

export interface Limits {
  /** Wall time until the program is killed: more than 0, at most 2,000,000. Default 5. */
  readonly seconds?: number
  /** Address space, data and stack, each; null for no limit. Default 256 MiB. */
  readonly memoryBytes?: number | null
}

/** Timers hold 2^31 milliseconds, and fire at once for more. */
const mostSeconds = 2_000_000

/** A file that a program writes may not grow past this. */
const fileBytes = 64 << 20

/** Set to None, as in the reference: what could harm the machine by mistake. */
const removed: Readonly<Record<string, string>> = {
  builtins: 'exit quit help',
  os: 'kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename renames truncate replace unlink fchmod fchown chmod chown chroot lchflags lchmod lchown getcwd chdir',
  shutil: 'rmtree move chown',
  subprocess: 'Popen',
}
/** Modules that cannot be imported. */
const forbidden = ['ipdb', 'joblib', 'resource', 'psutil', 'tkinter']

/** USAGE for limits that would end every program: it would look as if the programs were wrong. */
export function checkLimits({ seconds = 5, memoryBytes = null }: Limits): void {
  if (!(seconds > 0 && seconds <= mostSeconds)) {
    throw new ShardmillError(
      'USAGE',
      `seconds is ${seconds}, expected a number above 0 and up to ${mostSeconds}`,
    )
  }
  if (memoryBytes !== null && !(Number.isSafeInteger(memoryBytes) && memoryBytes > 0)) {
    throw new ShardmillError(
      'USAGE',
      `memoryBytes is ${memoryBytes}, expected a whole number from 1, or null for no limit`,
    )
  }
}

/**
 * Python source for `python -c`: sets the limits, removes what is dangerous, and runs the program as `__main__` in a
 * namespace of its own. Memory is limited where the reference limits it: not on macOS.
 */
export function guardedRun({ seconds = 5, memoryBytes = 256 << 20 }: Limits): string {
  const cpuSeconds = Math.ceil(seconds) + 1
  const limits = ['CORE, 0', `CPU, ${cpuSeconds}`, `FSIZE, ${fileBytes}`]
  if (memoryBytes !== null) limits.push(...['AS', 'DATA', 'STACK'].map((name) => `${name}, ${memoryBytes}`))
  const removals = Object.entries(removed).map(
    ([module, names]) => `    for name in '${names}'.split(): setattr(${module}, name, None)`,
  )
  return `
def load():
    import builtins, faulthandler, os, platform, shutil, subprocess, sys
    with os.fdopen(${programFd}, 'rb') as pipe: program = pipe.read().decode('utf-8')
    if platform.system() != 'Darwin':
        import resource
        def limit(which, most):
            hard = resource.getrlimit(which)[1]
            if hard != resource.RLIM_INFINITY: most = min(most, hard)
            resource.setrlimit(which, (most, most))
${limits.map((limit) => `        limit(resource.RLIMIT_${limit})`).join('\n')}
    faulthandler.disable()
    os.environ['OMP_NUM_THREADS'] = '1'
${removals.join('\n')}
    for name in ${JSON.stringify(forbidden)}: sys.modules[name] = None
    return program
exec(compile(load(), '<llm>', 'exec'), {'__name__': '__main__'})
`
}
