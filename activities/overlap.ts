/** overlap: fingerprints of two splits → conversations that stand in both; small. */
import type { Dependencies } from './dependencies.ts'
import { cpuActivity } from './stage-activity.ts'
import type { StageActivity } from './types.ts'

export function createOverlap(deps: Dependencies): StageActivity {
  return cpuActivity(deps)
}
