/** verifyTask: a task’s file, read again; in a worker thread. */
import type { Dependencies } from './dependencies.ts'
import { cpuActivity } from './stage-activity.ts'
import type { StageActivity } from './types.ts'

export function createVerifyTask(deps: Dependencies): StageActivity {
  return cpuActivity(deps)
}
