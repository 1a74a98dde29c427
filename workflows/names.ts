/** Names that clients, workers and workflows have to agree on. Defined here and nowhere else. */

/** Task queues: workflow tasks, work that waits on the network or the store, work that keeps a core busy. */
export const queues = {
  workflows: 'shardmill',
  io: 'shardmill-io',
  cpu: 'shardmill-cpu',
} as const

export type QueueName = keyof typeof queues

/** The workflow that clients start. */
export const buildWorkflow = 'buildDataset'

/** Every build's workflow id begins so. */
export const buildIdPrefix = 'shardmill-'

/** Search attributes (Keyword), set where the server has them: on a build, and on the workflows of its splits' parts. */
export const searchAttributes = { recipe: 'ShardmillRecipe', split: 'ShardmillSplit' } as const

/** Query: how far a workflow is, and which child workflows are under way. */
export const progressQuery = 'progress'
