/** shard: a segment → token shard and mask shard; what a lost attempt wrote was never visible. */
import type { Dependencies } from './dependencies.ts'
import { cpuActivity } from './stage-activity.ts'
import type { StageActivity } from './types.ts'

export function createShard(deps: Dependencies): StageActivity {
  return cpuActivity(deps)
}
