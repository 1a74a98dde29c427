/** What the tests of the hub's client share: a dataset on a server with faults, a client with little patience. */
import { afterEach } from 'vitest'
import { isShardmillError, type ShardmillError } from '../../errors/index.ts'
import { createHub, type Hub } from '../../hub/client/hub.ts'
import { bytesOf, type FaultServer, startFaultServer } from './fault-server.ts'

export const open: FaultServer[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()))
})

export const CARD = `---
configs:
- config_name: main
  data_files:
  - split: train
    path: main/train-*
  - split: test
    path: main/test-*
- config_name: socratic
  data_files:
  - split: train
    path: socratic/train-*
---
# A card
`
export const GSM = {
  'openai/gsm8k/README.md': Buffer.from(CARD),
  'openai/gsm8k/main/test-00000-of-00001.parquet': bytesOf(500, 1),
  'openai/gsm8k/main/train-00001-of-00002.parquet': bytesOf(700, 2),
  'openai/gsm8k/main/train-00000-of-00002.parquet': bytesOf(600, 3),
  'openai/gsm8k/socratic/train-00000-of-00001.parquet': bytesOf(400, 4),
  'openai/gsm8k/extra/more.jsonl': Buffer.from('{"a":1}\n'),
}

export async function serve(options: Parameters<typeof startFaultServer>[0]): Promise<[FaultServer, Hub]> {
  const server = await startFaultServer(options)
  open.push(server)
  return [server, hubAt(server.url)]
}

export function hubAt(endpoint: string, token: string | undefined = 'not-an-hf-token'): Hub {
  const retry = { tries: 3, idleMs: 500, baseMs: 5, totalMs: 10_000 }
  return createHub({ endpoint, token, offline: false, retry })
}

/** The error of work that must fail. */
export async function failure(work: Promise<unknown>): Promise<ShardmillError> {
  const error = await work.then(
    () => undefined,
    (e: unknown) => e,
  )
  if (!isShardmillError(error))
    throw new Error(`expected a ShardmillError, got ${String(error)}`, { cause: error })
  return error
}
