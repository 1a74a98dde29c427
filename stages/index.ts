/** Every stage that does its work in a worker thread, by name. */
import type { StageName } from '../pipeline/stage.ts'
import type { Stage } from './define-stage.ts'
import { format } from './format.ts'
import { importShard } from './import.ts'
import { overlap } from './overlap.ts'
import { problems } from './problems.ts'
import { scan } from './scan.ts'
import { shard } from './shard.ts'
import { shuffle } from './shuffle.ts'
import { task } from './task.ts'
import { tokenize } from './tokenize.ts'
import { tokenizer } from './tokenizer.ts'
import { verify } from './verify.ts'
import { verifyTask } from './verify-task.ts'

export const cpuStages: Readonly<Partial<Record<StageName, Stage>>> = {
  scan,
  tokenizer,
  format,
  tokenize,
  import: importShard,
  shuffle,
  shard,
  verify,
  overlap,
  problems,
  task,
  verifyTask,
}
