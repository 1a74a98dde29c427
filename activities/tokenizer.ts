/** tokenizer: a tokenizer file → vocabulary in our own form; an unknown or hostile file fails the build at once. */
import type { Dependencies } from './dependencies.ts'
import { cpuActivity } from './stage-activity.ts'
import type { StageActivity } from './types.ts'

export function createTokenizer(deps: Dependencies): StageActivity {
  return cpuActivity(deps)
}
