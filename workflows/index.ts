/** Every workflow, under the name it has on Temporal. */
import { workflowInfo } from '@temporalio/workflow'
import { type Evaluated, evaluatePart } from '../pipeline/evaluate.ts'
import { importsPart } from '../pipeline/imports.ts'
import { taskPart } from '../pipeline/kinds/chat-eval.ts'
import { shardsPart } from '../pipeline/shards.ts'
import { filesPart, partitionsPart, sourcePart } from '../pipeline/sources.ts'
import { splitPart } from '../pipeline/split.ts'
import type { Part } from '../pipeline/stage.ts'
import { partWorkflow } from './part.ts'
import type { EvaluateInput, PartInput, PartOutput } from './types.ts'

export { buildDataset } from './build-dataset.ts'

/** Parents and children agree on a part's types by its name; across the server everything is JSON. */
type PartWorkflow = (input: PartInput<unknown>) => Promise<PartOutput<unknown>>

function workflowOf<A, R>(part: Part<A, R>): PartWorkflow {
  return (input) => partWorkflow(part, input as PartInput<A>)
}

/** One split: its sources, its order, its shards up to their verification. */
export const buildSplit = workflowOf(splitPart)
/** One source with many files or partitions. */
export const buildSource = workflowOf(sourcePart)
/** A page of a source's files. */
export const buildFiles = workflowOf(filesPart)
/** A page of a file's partitions. */
export const buildPartitions = workflowOf(partitionsPart)
/** A page of the shards that a mix takes in. */
export const importShards = workflowOf(importsPart)
/** A page of a split's shards. */
export const buildShards = workflowOf(shardsPart)
/** One task of a chat evaluation with many files. */
export const buildTask = workflowOf(taskPart)
/** Chunks of problems, each put to an endpoint: `shardmill eval --temporal` starts it. */
export function evaluate(input: EvaluateInput): Promise<PartOutput<Evaluated>> {
  const { workflowId, firstExecutionRunId: runId } = workflowInfo()
  // Continued as new, it brings what ran before.
  return partWorkflow(evaluatePart, { ran: {}, ...input, build: { workflowId, runId } })
}
