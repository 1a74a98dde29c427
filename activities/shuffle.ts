/** shuffle: all indices of a split → one segment a shard; more than a few dozen segments are answered as a stored list. */
import type { Dependencies } from './dependencies.ts'
import { cpuActivity } from './stage-activity.ts'
import type { StageActivity } from './types.ts'

export function createShuffle(deps: Dependencies): StageActivity {
  return cpuActivity(deps)
}
