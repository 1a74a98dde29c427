/** problems: conversations of multiple-choice tasks → a problem block and its index; in a worker thread. */
import type { Dependencies } from './dependencies.ts'
import { cpuActivity } from './stage-activity.ts'
import type { StageActivity } from './types.ts'

export function createProblems(deps: Dependencies): StageActivity {
  return cpuActivity(deps)
}
