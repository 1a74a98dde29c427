/** tokenize: conversations → token block and its index; encoder tables are built once a process and shared between its threads. */
import type { Dependencies } from './dependencies.ts'
import { cpuActivity } from './stage-activity.ts'
import type { StageActivity } from './types.ts'

export function createTokenize(deps: Dependencies): StageActivity {
  return cpuActivity(deps)
}
