/** task: all problem blocks of a task → its file; in a worker thread. */
import type { Dependencies } from './dependencies.ts'
import { cpuActivity } from './stage-activity.ts'
import type { StageActivity } from './types.ts'

export function createTask(deps: Dependencies): StageActivity {
  return cpuActivity(deps)
}
