/** Run as a process of its own by download-kill.test.ts: downloads one file, and tells what it does. */
import { isShardmillError } from '../../errors/index.ts'
import { downloadFile } from '../../hub/client/download.ts'
import { createHub, type HubFile } from '../../hub/client/hub.ts'
import { hubSettings } from '../../hub/client/settings.ts'

const [file, partPath] = JSON.parse(process.argv[2] ?? '') as [HubFile, string]
const hub = createHub(hubSettings(process.env))
try {
  const onProgress = (bytes: number) => process.stdout.write(`${bytes}\n`)
  const done = await downloadFile(hub, file, { partPath }, { onProgress })
  process.stdout.write(`done ${done.path}\n`)
} catch (error) {
  if (!isShardmillError(error)) throw error
  process.stdout.write(`${error.code} ${error.message}\n`)
  process.exitCode = 1
}
