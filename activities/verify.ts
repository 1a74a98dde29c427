/** verify: a shard pair, re-read and held against its segment; a damaged blob is put out of sight, and the workflow makes it again. */
import type { Dependencies } from './dependencies.ts'
import { cpuActivity } from './stage-activity.ts'
import type { StageActivity } from './types.ts'

export function createVerify(deps: Dependencies): StageActivity {
  return cpuActivity(deps)
}
