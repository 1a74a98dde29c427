/**
 * OpenTelemetry traces, sent over HTTP when OTEL_EXPORTER_OTLP_ENDPOINT is set; without it none of this is loaded. A
 * build is one trace: its id is the build's run id, so that nothing has to travel through workflows for it.
 */
import type { Tracer } from '../activities/spans.ts'
import { isShardmillError } from '../errors/index.ts'
import { toolVersion } from '../errors/version.ts'

export interface Tracing {
  readonly tracer: Tracer
  /** Sends what is left; a collector that is not there holds nothing up for long. */
  close(): Promise<void>
}

const closeMs = 5_000

export async function startTracing(
  env: Readonly<Record<string, string | undefined>>,
  identity: string,
): Promise<Tracing | undefined> {
  const isSet = (name: string) => (env[name] ?? '') !== ''
  if (!isSet('OTEL_EXPORTER_OTLP_ENDPOINT') && !isSet('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT')) return undefined
  if (env['OTEL_SDK_DISABLED'] === 'true') return undefined
  const [api, sdk, { OTLPTraceExporter }, { Resource }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace-base'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ])
  const provider = new sdk.BasicTracerProvider({
    resource: new Resource({
      'service.name': env['OTEL_SERVICE_NAME'] || 'shardmill',
      'service.version': toolVersion,
      'service.instance.id': identity,
    }),
    // Endpoint, headers and timeout are read from the OTEL_EXPORTER_OTLP variables.
    spanProcessors: [new sdk.BatchSpanProcessor(new OTLPTraceExporter())],
  })
  const spans = provider.getTracer('shardmill', toolVersion)
  const tracer: Tracer = async ({ name, trace, attributes }, work) => {
    const parent = api.trace.setSpanContext(api.ROOT_CONTEXT, {
      traceId: trace,
      spanId: trace.slice(16),
      traceFlags: api.TraceFlags.SAMPLED,
      isRemote: true,
    })
    const span = spans.startSpan(name, { attributes: { ...attributes } }, parent)
    try {
      return await work((more) => span.setAttributes({ ...more }))
    } catch (error) {
      const { message } = error instanceof Error ? error : new Error(String(error))
      span.setStatus({ code: api.SpanStatusCode.ERROR, message })
      span.setAttribute('error.type', isShardmillError(error) ? error.code : 'BUG')
      throw error
    } finally {
      span.end()
    }
  }
  return {
    tracer,
    async close() {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, closeMs)
      })
      await Promise.race([provider.shutdown().catch(() => undefined), late])
      clearTimeout(timer)
    },
  }
}
