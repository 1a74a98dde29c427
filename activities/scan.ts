/** scan: a source file → its partitions; file footers and line starts are read, in a worker thread. */
import type { Dependencies } from './dependencies.ts'
import { cpuActivity } from './stage-activity.ts'
import type { StageActivity } from './types.ts'

export function createScan(deps: Dependencies): StageActivity {
  return cpuActivity(deps)
}
