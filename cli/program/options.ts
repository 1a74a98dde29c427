/** Options that several commands have. */
import { Option } from 'commander'

export const storeOption = () =>
  new Option(
    '--store <dir>',
    'where finished stages are kept (default: $SHARDMILL_STORE, else a per-user cache folder)',
  )
export const jsonOption = () => new Option('--json', 'machine-readable result on stdout')
export const threadsOption = () => new Option('--threads <n>', 'worker threads (default: one a core)')
export const setOption = () =>
  new Option(
    '--set <path=value>',
    'change a field of the recipe, e.g. splits.val[1].stop=100; may be repeated',
  ).argParser((value: string, before: string[] = []) => [...before, value])

export const temporalOption = () =>
  new Option('--temporal <address>', 'the Temporal server (default: as Temporal’s own tools find it)')
