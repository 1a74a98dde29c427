/** import: shard of an output folder → token block and its index. */
import type { Dependencies } from './dependencies.ts'
import { cpuActivity } from './stage-activity.ts'
import type { StageActivity } from './types.ts'

export function createImport(deps: Dependencies): StageActivity {
  return cpuActivity(deps)
}
