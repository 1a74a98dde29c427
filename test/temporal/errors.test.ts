/** What goes wrong reads the same in process, on the command line of a Temporal build, and in the Temporal UI. */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startHubServer } from '../../hub/server/index.ts'
import {
  type Bench,
  bench,
  expectClearError,
  filesUnder,
  goldenHub,
  ok,
  run,
  runOn,
  smallRecipe,
} from '../e2e/cli.ts'
import { suiteWithServer } from './fixture.ts'
import { listed } from './histories.ts'
import { stopWorker, temporalArgs, type WorkerOptions } from './server.ts'

suiteWithServer('errors', (on) => {
  /** Builds on Temporal, expects it to fail, and returns what the CLI said and what the UI shows. */
  async function failing(
    at: Bench,
    worker: WorkerOptions = {},
  ): Promise<{ stderr: string; code: number | null; type: string; message: string }> {
    const process = await on.worker(at, worker)
    const finished = await run(temporalArgs(at), { env: on.env(at) })
    await stopWorker(process)
    expectClearError(finished, [1, 2, 5])
    const id = /shardmill-small-[0-9a-f]{12}/.exec(finished.stderr)?.[0] ?? ''
    await listed(on.client, id)
    const { events } = await on.client.workflow.getHandle(id).fetchHistory()
    const failure = events?.at(-1)?.workflowExecutionFailedEventAttributes?.failure
    expect(filesUnder(at.out)).toEqual([])
    return {
      stderr: finished.stderr,
      code: finished.code,
      type: failure?.applicationFailureInfo?.type ?? '',
      message: failure?.message ?? '',
    }
  }

  const errorLine = (stderr: string) => /^error: (.*)$/m.exec(stderr)?.[1]

  test('a poison row', async () => {
    const at = on.bench(smallRecipe())
    appendFileSync(
      join(at.folder, 'identity_conversations.jsonl'),
      '[{"role":"user","content":"hi"},{"role":"user","content":"again"}]\n',
    )
    const inProcess = await runOn(at)
    const failed = await failing({ ...at, store: `${at.store}-2` })
    expect(failed).toMatchObject({ code: inProcess.code, type: 'BAD_ROW' })
    expect(errorLine(failed.stderr)).toBe(errorLine(inProcess.stderr))
    expect(failed.message).toBe(errorLine(inProcess.stderr))
  }, 120_000)

  test('a file that is no tokenizer', async () => {
    const at = on.bench(smallRecipe())
    writeFileSync(join(at.folder, 'tokenizer.pkl'), 'not a tokenizer')
    const inProcess = await runOn(at)
    const failed = await failing({ ...at, store: `${at.store}-2` })
    expect(failed).toMatchObject({ code: inProcess.code, type: 'BAD_TOKENIZER' })
    expect(errorLine(failed.stderr)).toBe(errorLine(inProcess.stderr))
    expect(failed.message).toBe(errorLine(inProcess.stderr))
  }, 120_000)

  test('an unknown tokenizer is refused before anything is submitted', async () => {
    const at = on.bench(smallRecipe({ tokenizer: { kind: 'tiktoken', encoding: 'gpt9' } }))
    const [inProcess, onTemporal] = [await runOn(at), await run(temporalArgs(at), { env: on.env(at) })]
    expect(onTemporal).toMatchObject({ code: 2, stderr: inProcess.stderr })
  })

  test('a hub that does not answer: tried again for a while, then the same error', async () => {
    const gone = await startHubServer(goldenHub, {})
    await gone.close()
    const at = bench(smallRecipe(), gone)
    const env = { SHARDMILL_HUB_RETRIES: '0' }
    const inProcess = await runOn(at, [], { env })
    const failed = await failing({ ...at, store: `${at.store}-2` }, { env })
    expect(failed).toMatchObject({ code: 5, type: 'HUB_UNREACHABLE' })
    expect(errorLine(failed.stderr)).toBe(errorLine(inProcess.stderr))
    expect(failed.message).toBe(errorLine(inProcess.stderr))
    expect(failed.stderr).toContain('(attempt 2)')
  }, 120_000)

  test('a full disk', async () => {
    const at = on.bench(smallRecipe())
    const failed = await failing(at, { fault: { spec: 'write:12+:ENOSPC', path: `${at.store}/v1/` } })
    expect(failed.type).toBe('STORE')
    expect(failed.message).toBe(`the disk is full: ENOSPC in the store ${at.store}`)
    expect(errorLine(failed.stderr)).toBe(failed.message)
    // Once there is room the same command goes on.
    const worker = await on.worker(at)
    await ok(temporalArgs(at), { env: on.env(at) })
    await stopWorker(worker)
  }, 120_000)

  test('a store that turns read-only fails at once', async () => {
    const at = on.bench(smallRecipe())
    const failed = await failing(at, { fault: { spec: 'open:30+:EROFS', path: `${at.store}/v1/tmp` } })
    expect(failed.type).toBe('STORE')
    expect(failed.message).toContain('EROFS')
    expect(errorLine(failed.stderr)).toBe(failed.message)
  }, 120_000)

  test('a worker with another store says so', async () => {
    const at = on.bench(smallRecipe())
    const worker = await on.worker({ ...at, store: `${at.store}-other` })
    const finished = await run(temporalArgs(at), { env: on.env(at) })
    expectClearError(finished)
    expect(finished.stderr).toContain('is not the store of the client')
    await stopWorker(worker)
  })

  test('no server: exit code 5 and what to do', async () => {
    const at = on.bench(smallRecipe())
    for (const args of [
      temporalArgs(at),
      ['list'],
      ['status', 'x'],
      ['attach', 'x'],
      ['cancel', 'x'],
      ['worker', '--store', at.store],
    ]) {
      const finished = await run(args, { env: { ...at.env, TEMPORAL_ADDRESS: '127.0.0.1:1' } })
      expectClearError(finished, [5])
      expect(finished.stderr).toContain('no Temporal server answers at 127.0.0.1:1')
      expect(finished.stderr).toContain('hint: ')
    }
  }, 120_000)

  test('a namespace that is not there: the same for all commands, and a worker ends', async () => {
    const at = on.bench(smallRecipe())
    const env = { ...on.env(at), TEMPORAL_NAMESPACE: 'elsewhere' }
    for (const args of [temporalArgs(at), ['list'], ['worker', '--store', at.store]]) {
      const finished = await run(args, { env })
      expectClearError(finished, [5])
      expect(finished.stderr).toContain('has no namespace elsewhere')
      expect(finished.stderr).toContain('TEMPORAL_NAMESPACE')
    }
  })

  test('no secret in history, memo, logs, metrics, records or output', async () => {
    const token = 'hf_plantedTokenThatMustStayHidden'
    const guarded = await startHubServer(goldenHub, { token })
    try {
      const at = bench(smallRecipe(), guarded)
      const port = Number(new URL(guarded.url).port) + 1
      const worker = await on.worker(at, {
        env: { HF_TOKEN: token },
        args: ['--verbose', '--metrics', `127.0.0.1:${port}`],
      })
      const finished = await run([...temporalArgs(at), '--verbose'], { env: on.env(at) })
      expect(finished.code, finished.stderr).toBe(0)
      const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
      expect(metrics).toMatch(/shardmill_stages_run\w*\{[^}]*stage="tokenize"[^}]*\} [1-9]/)
      expect(metrics).toMatch(/shardmill_tokens\w*\{/)
      // A failure that quotes the hub's answer, too.
      const denied = await startHubServer(goldenHub, { token: 'another' })
      const refused = bench(smallRecipe({ name: 'small' }), denied)
      await stopWorker(worker)
      const second = await on.worker(refused, { env: { HF_TOKEN: token } })
      const refusal = await run(temporalArgs(refused), { env: on.env(refused) })
      expectClearError(refusal, [1])
      await stopWorker(second)
      await denied.close()
      const texts: Record<string, string> = {
        'stdout and stderr': finished.stdout + finished.stderr + refusal.stdout + refusal.stderr,
        'worker logs': worker.output() + second.output(),
        metrics,
      }
      // The server's database has every event, memo, query answer and heartbeat it ever kept.
      for (const name of filesUnder(on.server.folder))
        texts[`server ${name}`] = readFileSync(join(on.server.folder, name), 'latin1')
      for (const folder of [at.folder, refused.folder]) {
        for (const name of filesUnder(folder))
          texts[`${folder}/${name}`] = readFileSync(join(folder, name), 'latin1')
      }
      const encoded = Buffer.from(token).toString('base64').slice(0, 24)
      for (const [where, text] of Object.entries(texts)) {
        expect(text.includes(token), where).toBe(false)
        expect(text.includes(encoded), where).toBe(false)
      }
      expect(Object.keys(texts).some((name) => name.startsWith('server ') && name.endsWith('.db'))).toBe(true)
    } finally {
      await guarded.close()
    }
  }, 120_000)
})
