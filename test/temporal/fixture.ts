/**
 * What the suites of this folder begin with: the server, the golden hub, and a client in this process. Builds are
 * submitted and compared from here; a process of the command line is only started where it is what a test is about.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from '@temporalio/client'
import { beforeAll, expect } from 'vitest'
import { submitBuild } from '../../cli/temporal/submit.ts'
import type { HubServer } from '../../hub/server/index.ts'
import type { Limits } from '../../workflows/types.ts'
import {
  type Bench,
  bench,
  goldenHub,
  goldenRecipe,
  outputOf,
  type RecipeObject,
  recordsOf,
  serve,
} from '../e2e/cli.ts'
import { buildHere } from '../e2e/in-process.ts'
import { type StageEvent, stageEvents } from './histories.ts'
import {
  clientEnv,
  heartbeatMs,
  startServer,
  startWorker,
  type TestServer,
  temporalSuite,
  type WorkerOptions,
  type WorkerProcess,
} from './server.ts'

export interface Submitted {
  readonly id: string
  /** Settles as the build does; nobody has to listen. */
  readonly ended: Promise<unknown>
}

/** What a build in process has made: whatever a build on Temporal is held against. */
export interface Reference {
  readonly output: Readonly<Record<string, string>>
  readonly keys: ReadonlySet<string>
}

export class Fixture {
  server!: TestServer
  hub!: HubServer

  async begin(): Promise<void> {
    this.hub = await serve(goldenHub)
    this.server = await startServer()
  }

  get client(): Client {
    return this.server.client
  }

  /** A folder of its own to build in, with an empty store. */
  bench(recipe: RecipeObject = goldenRecipe()): Bench {
    return bench(recipe, this.hub)
  }

  /** The environment of a command line that talks to the server. */
  env(at: Bench): Record<string, string> {
    return clientEnv(this.server, at)
  }

  worker(at: Bench, options: WorkerOptions = {}): Promise<WorkerProcess> {
    return startWorker(this.server, at, options)
  }

  /** What `build --temporal --detach` does. */
  async submit({ recipe: file, out, store }: Bench, more: Limits = {}): Promise<Submitted> {
    const recipe = { text: readFileSync(file, 'utf8'), file, settings: [] }
    const limits = { heartbeatMs, ...more }
    const { workflowId: id } = await submitBuild(this.client, { recipe, out, store, limits })
    const ended = this.client.workflow.getHandle(id).result()
    ended.catch(() => {})
    return { id, ended }
  }

  /** The same recipe built in process, elsewhere; for a hub of its own, what it is built from. */
  async inProcess(recipe: RecipeObject = goldenRecipe(), hub = this.hub): Promise<Reference> {
    const at = bench(recipe, hub)
    await buildHere(at)
    return { output: outputOf(at.out), keys: new Set(recordsOf(at.store).keys()) }
  }

  /** The id of the workflow of this type that runs, waited for. */
  async running(type: 'buildDataset' | 'evaluate'): Promise<string> {
    for (;;) {
      const query = `ExecutionStatus = "Running" AND WorkflowType = "${type}"`
      for await (const { workflowId } of this.client.workflow.list({ query })) return workflowId
      await pause(50)
    }
  }

  /** A build's stage events, after a look that no stage was run and finished twice. */
  async eventsOf(id: string): Promise<StageEvent[]> {
    const events = await stageEvents(this.client, id)
    const ran = events.filter(({ cached }) => cached === false).map(({ key }) => key)
    expect(new Set(ran).size, 'a stage was run and finished twice').toBe(ran.length)
    return events
  }
}

/** A suite that needs the server, with one of its own. */
export function suiteWithServer(name: string, claims: (on: Fixture) => void): void {
  temporalSuite(name, () => {
    const on = new Fixture()
    beforeAll(() => on.begin())
    claims(on)
  })
}
