import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'

/**
 * A folder of the user's as the XDG Base Directory Specification names it: `variable`, whose relative values it says to
 * ignore, else `inHome` in the home folder. Undefined where there is no home either.
 */
export function userFolder(
  env: NodeJS.ProcessEnv,
  variable: 'XDG_CACHE_HOME' | 'XDG_DATA_HOME',
  ...inHome: readonly string[]
): string | undefined {
  const named = env[variable] ?? ''
  if (isAbsolute(named)) return named
  const home = homeFolder(env)
  return isAbsolute(home) ? join(home, ...inHome) : undefined
}

function homeFolder(env: NodeJS.ProcessEnv): string {
  if (env['HOME'] !== undefined) return env['HOME']
  try {
    return homedir()
  } catch {
    return '' // a user without an entry in the system's list
  }
}
