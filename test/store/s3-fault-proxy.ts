/** Stands between a store and its server: passes requests on, and answers those it is told to as a server in trouble. */

import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { afterAll } from 'vitest'

/** status: an S3 error by that name. cut: the answer's body ends after so many bytes. hang: no answer ever. */
export type Fault =
  | { readonly status: number; readonly code: string }
  | { readonly cut: number }
  | 'hang'
  | 'reset'
  | undefined

export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
}

export interface FaultProxy {
  readonly endpoint: string
  readonly seen: Seen[]
  /** Decides for every request. */
  fault: (request: Seen) => Fault
  /** Headers that never reach the server, as one that does not know them. */
  ignore: readonly string[]
}

const closers: (() => void)[] = []
afterAll(() => {
  for (const close of closers) close()
})

export async function startFaultProxy(endpoint: string): Promise<FaultProxy> {
  const target = new URL(endpoint)
  const server = createServer((incoming, answer) => {
    const seen = { method: incoming.method ?? '', url: incoming.url ?? '', headers: incoming.headers }
    proxy.seen.push(seen)
    const fault = proxy.fault(seen)
    incoming.on('error', () => undefined)
    answer.on('error', () => undefined)
    if (fault === 'hang') return
    if (fault === 'reset') return void incoming.socket.destroy()
    if (fault !== undefined && 'status' in fault) return refuse(incoming, answer, fault)
    pass(incoming, answer, fault?.cut)
  })

  function pass(incoming: IncomingMessage, answer: ServerResponse, cut: number | undefined): void {
    const headers = { ...incoming.headers }
    for (const name of proxy.ignore) delete headers[name]
    delete headers['expect']
    const { hostname, port } = target
    const outgoing = request(
      { hostname, port, method: incoming.method, path: incoming.url, headers },
      (back) => {
        answer.writeHead(back.statusCode ?? 500, back.headers)
        let left = cut ?? Number.POSITIVE_INFINITY
        back.on('data', (chunk: Buffer) => {
          if (left <= 0) return
          answer.write(chunk.subarray(0, Math.min(left, chunk.length)))
          left -= chunk.length
          if (left <= 0) setTimeout(() => answer.destroy(), 20)
        })
        back.on('end', () => {
          if (left > 0) answer.end()
        })
      },
    )
    outgoing.on('error', () => answer.destroy())
    incoming.pipe(outgoing)
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const proxy: FaultProxy = {
    endpoint: `http://127.0.0.1:${port}`,
    seen: [],
    fault: () => undefined,
    ignore: [],
  }
  return proxy
}

function refuse(
  incoming: IncomingMessage,
  answer: ServerResponse,
  { status, code }: { status: number; code: string },
): void {
  incoming.resume()
  incoming.on('end', () => {
    answer.writeHead(status, { 'content-type': 'application/xml' })
    const words = `<AWSAccessKeyId>${process.env['AWS_ACCESS_KEY_ID']}</AWSAccessKeyId>`
    answer.end(
      incoming.method === 'HEAD'
        ? undefined
        : `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code} it is</Message>${words}</Error>`,
    )
  })
}
