/** format: a partition → conversations, and the rows set aside; bad rows are no failure here: the recipe's policy is held in the workflow. */
import type { Dependencies } from './dependencies.ts'
import { cpuActivity } from './stage-activity.ts'
import type { StageActivity } from './types.ts'

export function createFormat(deps: Dependencies): StageActivity {
  return cpuActivity(deps)
}
