/** A served folder with a small dataset of each kind, and raw requests that no client library tidies up. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach } from 'vitest'
import { type HubServer, type HubServerOptions, startHubServer } from '../../hub/server/index.ts'

const cleanups: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** A folder with these files (a number: so many pseudo-random bytes), removed after the test. */
export function folder(files: Readonly<Record<string, string | Uint8Array | number>>): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'shardmill-hub-')))
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }))
  write(dir, files)
  return dir
}

export function write(dir: string, files: Readonly<Record<string, string | Uint8Array | number>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true })
    writeFileSync(join(dir, path), typeof content === 'number' ? bytes(content, path.length) : content)
  }
}

/** The same bytes for the same arguments. */
export function bytes(length: number, seed: number): Uint8Array {
  const out = new Uint8Array(length)
  let state = seed + 1
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    out[i] = state >>> 16
  }
  return out
}

export async function serve(dir: string, options: HubServerOptions = {}): Promise<HubServer> {
  const server = await startHubServer(dir, options)
  cleanups.push(() => server.close())
  return server
}

export const GSM8K = {
  'datasets/openai/gsm8k/README.md':
    '---\nlicense: mit\nlanguage: [en]\nconfigs:\n- config_name: main\n  data_files:\n  - split: train\n    path: main/train-*\n  - split: test\n    path: main/test-*\n---\n# gsm8k\n',
  'datasets/openai/gsm8k/main/train-00000-of-00002.parquet': 2_500_000,
  'datasets/openai/gsm8k/main/train-00001-of-00002.parquet': 1_200_000,
  'datasets/openai/gsm8k/main/test-00000-of-00001.parquet': 30_000,
} as const

/** Sends bytes as they are and returns all that comes back until the server closes the connection. */
export function rawRequest(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(text))
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', reject)
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')))
  })
}

/** A GET of a path exactly as written: `fetch` would resolve `..` itself. */
export async function rawGet(
  url: string,
  path: string,
  method = 'GET',
): Promise<{ status: number; text: string }> {
  const text = await rawRequest(url, `${method} ${path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n`)
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]), text }
}
