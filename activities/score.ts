/** score: a chunk of problems, put to an endpoint; address and waiting come with the call, a key from the worker's environment. */
import { createScore as createScoreStage } from '../stages/score.ts'
import type { Dependencies } from './dependencies.ts'
import { stageActivity } from './stage-activity.ts'
import type { StageActivity } from './types.ts'

export function createScore(deps: Dependencies): StageActivity {
  return stageActivity(deps, (call, meter, { signal, report }) => {
    let waiting: string | undefined
    report(() => ({ title: call.title, ...meter.read(), ...(waiting === undefined ? {} : { waiting }) }))
    return createScoreStage(deps.env).run(call, {
      store: deps.store,
      signal,
      progress: meter,
      notice: (text) => {
        waiting = text
      },
      encoderTables: () => Promise.reject(new TypeError('only CPU stages encode')),
    })
  })
}
