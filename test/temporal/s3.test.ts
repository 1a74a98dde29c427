/** Builds on Temporal whose store is a bucket: workers that share nothing but it, one killed, the same bytes. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { type Bench, filesUnder, json, manifestOf, ok, outputOf, temporaryFolder } from '../e2e/cli.ts'
import { s3Suite } from '../store/s3-server.ts'
import { backdoor, newLocation } from '../store/s3-support.ts'
import { type Reference, suiteWithServer } from './fixture.ts'
import { stopWorker, temporalArgs } from './server.ts'

/** Must show up nowhere. */
const planted = 'planted-secret-0123456789'

s3Suite('builds on Temporal with their store in a bucket', (s3) => {
  suiteWithServer('several workers', (on) => {
    let golden: Reference
    let stages = 0

    beforeAll(async () => {
      golden = await on.inProcess()
      stages = golden.keys.size
    })

    /** Credentials are in the environment; every process keeps its local copies apart, as on a machine of its own. */
    const aws = (cache = temporaryFolder()): Record<string, string> => ({
      AWS_ENDPOINT_URL_S3: s3.endpoint,
      AWS_ACCESS_KEY_ID: process.env['AWS_ACCESS_KEY_ID'] ?? '',
      AWS_SECRET_ACCESS_KEY:
        s3.kind === 'the server given' ? (process.env['AWS_SECRET_ACCESS_KEY'] ?? '') : planted,
      AWS_REGION: process.env['AWS_REGION'] ?? 'us-east-1',
      XDG_CACHE_HOME: cache,
    })
    const inBucket = (): Bench => ({ ...on.bench(), store: newLocation() })
    const clients = (at: Bench) => ({ ...on.env(at), ...aws() })

    const recordKeys = async (location: string): Promise<Set<string>> => {
      const behind = await backdoor(s3.endpoint, location)
      const paths = await behind.paths('v1/records/')
      behind.objects.close()
      return new Set(paths.map((path) => /([0-9a-f]{64})\.json$/.exec(path)![1]!))
    }

    test('one worker: the bytes of a store in a folder; a rerun elsewhere is cached; the credentials are in no history or log', async () => {
      const at = inBucket()
      const worker = await on.worker(at, { env: aws() })
      const env = clients(at)
      const first = await json<{ stages: unknown; files: readonly unknown[] }>(temporalArgs(at), { env })
      expect(first.stages).toEqual({ run: stages, cached: 0 })
      expect(outputOf(at.out)).toEqual(golden.output)
      await ok(['verify', at.out])
      const elsewhere = join(temporaryFolder(), 'out')
      const again = await json<{ stages: unknown }>(temporalArgs(at, elsewhere), { env: clients(at) })
      expect(again.stages).toEqual({ run: 0, cached: stages })
      expect(outputOf(elsewhere)).toEqual(golden.output)
      await ok(['store', 'check', '--store', at.store, '--no-repair'], { env })
      await stopWorker(worker)
      const shown = filesUnder(on.server.folder).map((name) =>
        readFileSync(join(on.server.folder, name), 'latin1'),
      )
      for (const text of [worker.output(), ...shown]) expect(text.includes(planted)).toBe(false)
    }, 180_000)

    test('three workers with caches of their own, queues apart: the same bytes', async () => {
      const at = inBucket()
      const workers = await Promise.all([
        on.worker(at, { args: ['--queues', 'workflows,io'], env: aws() }),
        on.worker(at, { args: ['--queues', 'cpu'], env: aws() }),
        on.worker(at, { args: ['--queues', 'cpu'], env: aws() }),
      ])
      await ok(temporalArgs(at), { env: clients(at) })
      expect(outputOf(at.out)).toEqual(golden.output)
      expect((await recordKeys(at.store)).size).toBe(stages)
      for (const worker of workers) await stopWorker(worker)
    }, 180_000)

    test('a worker is killed while it writes: another one goes on from the bucket, no finished stage runs again', async () => {
      const at = inBucket()
      const cache = temporaryFolder()
      const { stdout } = await ok([...temporalArgs(at), '--detach'], { env: clients(at) })
      const id = stdout.trim()
      const ended = on.client.workflow.getHandle(id).result()
      ended.catch(() => {})
      const doomed = await on.worker(at, {
        env: aws(cache),
        fault: { spec: 'open:150:kill-before', path: cache },
      })
      await Promise.race([doomed.exited, ended])
      expect(doomed.child.signalCode).toBe('SIGKILL')
      const done = await recordKeys(at.store)
      expect(done.size).toBeGreaterThan(0)
      expect(done.size).toBeLessThan(stages)
      const other = await on.worker(at, { env: aws() })
      await ended
      expect(outputOf(at.out)).toEqual(golden.output)
      await on.eventsOf(id)
      expect(await recordKeys(at.store)).toEqual(new Set(manifestOf(at.out).stages.map(({ key }) => key)))
      await ok(['store', 'check', '--store', at.store, '--no-repair'], { env: clients(at) })
      await stopWorker(other)
    }, 180_000)
  })
})
