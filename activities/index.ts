/** The activities of each task queue, made from a worker's dependencies. */
import type { Dependencies } from './dependencies.ts'
import { createDownload } from './download.ts'
import { createFormat } from './format.ts'
import { createImport } from './import.ts'
import { createListActivities } from './lists.ts'
import { createLookUp } from './look-up.ts'
import { createOverlap } from './overlap.ts'
import { createProblems } from './problems.ts'
import { createPublish } from './publish.ts'
import { createResolve } from './resolve.ts'
import { createScan } from './scan.ts'
import { createScore } from './score.ts'
import { createShard } from './shard.ts'
import { createShuffle } from './shuffle.ts'
import { createTask } from './task.ts'
import { createTokenize } from './tokenize.ts'
import { createTokenizer } from './tokenizer.ts'
import type { Activities, IoActivities } from './types.ts'
import { createVerify } from './verify.ts'
import { createVerifyTask } from './verify-task.ts'

export type { Dependencies } from './dependencies.ts'

/** What waits on the network or the store. */
export function createIoActivities(
  deps: Dependencies,
): IoActivities & Pick<Activities, 'download' | 'score'> {
  return {
    resolve: createResolve(deps),
    lookUp: createLookUp(deps),
    ...createListActivities(deps),
    download: createDownload(deps),
    score: createScore(deps),
    publish: createPublish(deps),
  }
}

/** What keeps a core busy. */
export function createCpuActivities(
  deps: Dependencies,
): Omit<Activities, keyof IoActivities | 'download' | 'score'> {
  return {
    scan: createScan(deps),
    tokenizer: createTokenizer(deps),
    format: createFormat(deps),
    tokenize: createTokenize(deps),
    import: createImport(deps),
    shuffle: createShuffle(deps),
    shard: createShard(deps),
    verify: createVerify(deps),
    overlap: createOverlap(deps),
    problems: createProblems(deps),
    task: createTask(deps),
    verifyTask: createVerifyTask(deps),
  }
}
