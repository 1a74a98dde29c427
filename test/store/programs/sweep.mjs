/**
 * Makes the n-th call of a kind fail, for n = 1, 2, 3 … until a run passes untouched; every time in a new
 * store, and then repeats the run on what is left. To be run under fs-preload.mjs.
 *
 * Arguments: <compiled store> <folder for stores> <file outside> <kind> <fault, fault, …> <once | from-then-on>
 * The faults take turns. Prints a line of JSON for each n that broke a promise, and at the end how many struck.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { load, scenario } from './scenario.mjs'

const [compiled, base, outside, kind, faults, mode] = process.argv.slice(2)
const fault = globalThis[Symbol.for('shardmill.fault')]
const names = faults.split('+')
/** These mean "not now" or "not all": the store must do it again and succeed. */
const PASSING = ['EINTR', 'EAGAIN', 'EMFILE', 'ENFILE', 'short']
const api = await load(compiled)
mkdirSync(base, { recursive: true })

const undisturbed = JSON.stringify(await scenario(api, join(base, 'undisturbed'), outside))
const broken = (n, what, why) => console.log(JSON.stringify({ kind, n, what, why }))

let n = 1
for (; ; n++) {
  const folder = join(base, `${kind}-${n}`)
  const what = names[n % names.length]
  fault.arm(`${kind}:${n}${mode === 'once' ? '' : '+'}:${what}`, folder)
  let failure
  let result
  try {
    result = JSON.stringify(await scenario(api, folder, outside))
  } catch (error) {
    failure = error
  }
  const struck = fault.struck()
  fault.arm('')
  if (struck === 0) {
    if (result !== undisturbed) broken(n, 'nothing', `untouched, yet ${failure?.stack ?? result}`)
    break
  }
  if (failure !== undefined) {
    // One clear error that names the store; a bug or a raw system error is neither.
    const clear =
      failure.name === 'ShardmillError' && failure.code === 'STORE' && failure.message.includes(folder)
    if (!clear || failure.hint === undefined) broken(n, what, failure.stack)
    if (mode === 'once' && PASSING.includes(what)) broken(n, what, `not tried again: ${failure.message}`)
  }
  // As it was left: nothing visible is wrong. (What an unreadable disk made the check set aside may be missing.)
  if (existsSync(join(folder, 'v1'))) {
    const store = await api.openFileStore(folder, { readOnly: true })
    const { findings } = await api.checkStore(store)
    const wrong = findings.filter((finding) => finding.kind !== 'missing' || what !== 'EIO')
    if (wrong.length > 0) broken(n, what, `left damaged: ${JSON.stringify(wrong)}`)
  }
  const repeated = JSON.parse(
    await scenario(api, folder, outside).then(JSON.stringify, (error) => `"${error.message}"`),
  )
  const warnings = repeated.warnings ?? []
  if (JSON.stringify({ ...repeated, warnings: [] }) !== undisturbed) broken(n, what, { repeated })
  if (warnings.some((warning) => !warning.includes('is missing'))) broken(n, what, warnings)
  const left = existsSync(folder) ? readdirSync(join(folder, 'v1', 'tmp')) : []
  // A left-over that could not be removed then is removed once its owner has ended; ours has not.
  if (left.length > 0 && failure === undefined && kind !== 'unlink') broken(n, what, `left over: ${left}`)
  rmSync(folder, { recursive: true, force: true })
}
console.log(JSON.stringify({ struck: n - 1 }))
