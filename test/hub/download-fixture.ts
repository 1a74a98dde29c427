/** What the tests of downloads share: two files on a server with faults, a folder, a client with little patience. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect } from 'vitest'
import { type ErrorCode, isShardmillError } from '../../errors/index.ts'
import { createHub, type Hub, type HubFile } from '../../hub/client/hub.ts'
import {
  bytesOf,
  COMMIT,
  type Fault,
  type FaultServer,
  gitOid,
  sha256,
  startFaultServer,
} from './fault-server.ts'

export const TOKEN = 'hf_secretsecret'
export const content = bytesOf(300_000)
export const parquet: HubFile = {
  repo: 'org/data',
  commit: COMMIT,
  path: 'data/a b#1.parquet',
  bytes: content.length,
  sha256: sha256(content),
}
export const lines: HubFile = {
  repo: 'org/data',
  commit: COMMIT,
  path: 'x.jsonl',
  bytes: content.length,
  gitOid: gitOid(content),
}
export const files = { 'org/data/data/a b#1.parquet': content, 'org/data/x.jsonl': content }

/** Of the test that runs. */
export let folder: string
export let partPath: string
export const open: FaultServer[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'download-'))
  partPath = join(folder, 'new', 'part')
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()))
  await rm(folder, { recursive: true, force: true })
})

/** Pauses of a few milliseconds; half a second of silence is too long. */
export function hubAt(endpoint: string, { tries = 4, idleMs = 500, offline = false } = {}): Hub {
  const retry = { tries, idleMs, baseMs: 5, totalMs: 10_000 }
  return createHub({ endpoint, token: TOKEN, offline, retry })
}

export async function serve(
  plan: (nth: number) => Fault | undefined,
  more: object = {},
): Promise<FaultServer> {
  const server = await startFaultServer({ files, plan: (_, nth) => plan(nth), ...more })
  open.push(server)
  return server
}

/** The error of a promise that must fail, checked for what every error here must not show. */
export async function failure(
  work: Promise<unknown>,
): Promise<Error & { code: ErrorCode; retryable: boolean }> {
  const error = await work.then(
    () => undefined,
    (e: unknown) => e,
  )
  if (!isShardmillError(error))
    throw new Error(`expected a ShardmillError, got ${String(error)}`, { cause: error })
  expect(JSON.stringify(error.toFacts())).not.toContain('secret')
  return error
}

export const first =
  (...faults: Fault[]) =>
  (nth: number) =>
    faults[nth]
export const always = (fault: Fault) => () => fault
