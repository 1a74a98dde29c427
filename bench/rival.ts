import { createRequire } from 'node:module'

const require = createRequire(new URL('../../bench/package.json', import.meta.url))

/**
 * A package of bench/package.json, which is not the project's: `npm install --prefix bench` brings it.
 * @returns undefined when it is not there; `say` is told so
 */
export function rival<T>(name: string, say: (line: string) => void): T | undefined {
  try {
    require.resolve(name)
  } catch {
    say(`${name} is left out: npm install --prefix bench brings it`)
    return undefined
  }
  return require(name) as T
}
