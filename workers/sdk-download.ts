/**
 * The SDK's own download of the Temporal CLI, as a program: `sdk-download.js FOLDER VERSION` prints the path of what
 * it fetched. The SDK cannot fetch without starting a server, so one is started, on a port of its own and without a
 * database, and stopped at once: `shardmill dev` has to own the server's process, its group and its files.
 */
import { accessSync, constants, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { TestWorkflowEnvironment } from '@temporalio/testing'

const [folder, version] = process.argv.slice(2) as [string, string]
try {
  const environment = await TestWorkflowEnvironment.createLocal({
    server: {
      executable: { type: 'cached-download', downloadDir: folder, version },
      log: { format: 'pretty', level: 'error' },
    },
  })
  await environment.teardown()
  const program = readdirSync(folder)
    .map((name) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
  if (program === undefined) throw new Error(`the SDK left no program in ${folder}`)
  process.stdout.write(`${program}\n`)
} catch (error) {
  process.stderr.write(`${shortest(error)}\n`)
  process.exitCode = 1
}

/** The SDK says its causes one behind the other, the address twice: the last one is what happened. */
function shortest(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const at = text.lastIndexOf('error sending request for url ')
  return (at < 0 ? text : text.slice(at)).replaceAll('\n', ' ')
}
