/**
 * download: a file of the hub → a blob. A retry goes on from the part that its predecessor left in the store's
 * scratch folder, on whatever worker it runs.
 */
import { createDownload as createDownloadStage } from '../stages/download.ts'
import type { Dependencies } from './dependencies.ts'
import { stageActivity } from './stage-activity.ts'
import type { StageActivity } from './types.ts'

export function createDownload(deps: Dependencies): StageActivity {
  return stageActivity(deps, async (call, meter, { signal, report }) => {
    let waiting: string | undefined
    const notice = (text: string) => {
      waiting = text
    }
    report(() => ({ title: call.title, ...meter.read(), ...(waiting === undefined ? {} : { waiting }) }))
    const output = await createDownloadStage(() => deps.hub(signal, notice)).run(call, {
      store: deps.store,
      signal,
      progress: meter,
      notice,
      encoderTables: () => Promise.reject(new TypeError('only CPU stages encode')),
    })
    // Hashed just now: should this worker format it as well, it need not be read once more for that.
    const pool = await deps.pool()
    for (const { digest } of Object.values(output.outputs)) pool.trust(digest)
    return output
  })
}
