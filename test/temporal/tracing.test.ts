/** Traces, as a collector receives them: one trace a build, a span a stage; off and harmless without a collector. */
import { createServer, type Server } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { json, ok, recordsOf, smallRecipe } from '../e2e/cli.ts'
import { suiteWithServer } from './fixture.ts'
import { stopWorker, temporalArgs } from './server.ts'

interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly name: string
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly { key: string; value: Record<string, unknown> }[]
  readonly status: { readonly code?: number }
}

suiteWithServer('tracing', (on) => {
  let collector: Server
  let endpoint: string
  const received: { path: string; body: string }[] = []

  beforeAll(async () => {
    collector = createServer((request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', (text: string) => (body += text))
      request.on('end', () => {
        received.push({ path: request.url ?? '', body })
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
      })
    })
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
    endpoint = `http://127.0.0.1:${(collector.address() as { port: number }).port}`
  })
  afterAll(() => void collector.close())

  test('each stage that ran is a span of the build’s one trace', async () => {
    const at = on.bench(smallRecipe())
    const env = on.env(at)
    const worker = await on.worker(at, { env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } })
    const { build, run } = await json<{ build: string; run: string }>([...temporalArgs(at), '--detach'], {
      env,
    })
    await on.client.workflow.getHandle(build).result()
    await stopWorker(worker)
    expect(new Set(received.map(({ path }) => path))).toEqual(new Set(['/v1/traces']))
    const spans = received.flatMap(({ body }) =>
      (JSON.parse(body) as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] }).resourceSpans.flatMap(
        ({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans),
      ),
    )
    const facts = spans.map(({ name, attributes }) => ({
      name,
      of: Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]])),
    }))
    expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set([run.replaceAll('-', '')]))
    expect(spans.filter(({ name }) => name === 'publish')).toHaveLength(1)
    const stages = facts.filter(({ name }) => name !== 'publish')
    const records = recordsOf(at.store)
    expect(stages.map(({ of }) => of['shardmill.key']).sort()).toEqual([...records.keys()].sort())
    for (const { name, of } of stages) {
      expect(records.get(String(of['shardmill.key']))!.stage).toBe(name)
      expect(of).toMatchObject({ 'shardmill.build': build, 'temporal.attempt': 1 })
    }
    const tokenized = stages.filter(({ name }) => name === 'tokenize')
    for (const { of } of tokenized) expect(Number(of['shardmill.tokens'])).toBeGreaterThan(0)
    for (const { startTimeUnixNano, endTimeUnixNano, status } of spans) {
      expect(BigInt(endTimeUnixNano) >= BigInt(startTimeUnixNano)).toBe(true)
      expect(status.code ?? 0).toBe(0)
    }
  }, 180_000)

  test('a collector that is not there, and none asked for: the build is the same', async () => {
    const before = received.length
    for (const env of [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }, {}]) {
      const at = on.bench(smallRecipe())
      const worker = await on.worker(at, { env: env as Record<string, string> })
      await ok(temporalArgs(at), { env: on.env(at) })
      await stopWorker(worker)
    }
    expect(received).toHaveLength(before)
  }, 180_000)
})
