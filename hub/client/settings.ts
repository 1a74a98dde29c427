/**
 * Where the hub is and who we are to it, from the variables that the Hugging Face tools read.
 *
 * Rules as documented for `huggingface_hub` (environment variables page): `HF_TOKEN` before the token file, the
 * token file at `HF_TOKEN_PATH` or `$HF_HOME/token`, `HF_HOME` under `XDG_CACHE_HOME` or `~/.cache`.
 */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { ShardmillError } from '../../errors/index.ts'
import type { RetryLimits } from './retry.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface HubSettings {
  /** `http(s)://host[:port][/path]`, no trailing slash. */
  readonly endpoint: string
  /** Secret. Sent to the endpoint's own origin only. */
  readonly token: string | undefined
  readonly offline: boolean
  readonly retry: RetryLimits
}

const DEFAULT_ENDPOINT = 'https://huggingface.co'
const DEFAULT_RETRIES = 5
const DEFAULT_TIMEOUT_MS = 30_000
/** Twenty times this, the time for all tries, is still one that timers can hold (2^31 ms). */
const MOST_TIMEOUT_MS = 100_000_000

/**
 * Reads the settings. Of our own there are two, for slow lines and for tests: `SHARDMILL_HUB_RETRIES` (how often
 * a failed request is repeated, default 5) and `SHARDMILL_HUB_TIMEOUT_MS` (how long no byte arrives until the hub
 * counts as silent, default 30000; pauses between tries and the time for all tries scale with it).
 *
 * Errors: `USAGE` for a value that cannot be meant.
 */
export function hubSettings(env: Environment): HubSettings {
  const idleMs = wholeNumber(env, 'SHARDMILL_HUB_TIMEOUT_MS', DEFAULT_TIMEOUT_MS, 1, MOST_TIMEOUT_MS)
  return {
    endpoint: endpointOf(env),
    token: tokenOf(env),
    offline: isTrue(env['HF_HUB_OFFLINE']),
    retry: {
      tries: wholeNumber(env, 'SHARDMILL_HUB_RETRIES', DEFAULT_RETRIES, 0, 1_000_000) + 1,
      idleMs,
      baseMs: idleMs / 60,
      totalMs: idleMs * 20, // ten minutes: two of the hub's five-minute rate windows
    },
  }
}

function endpointOf(env: Environment): string {
  const value = env['HF_ENDPOINT']?.trim()
  if (value === undefined || value === '') return DEFAULT_ENDPOINT
  const bad = (why: string, shown = '') =>
    new ShardmillError('USAGE', `HF_ENDPOINT${shown} ${why}`, {
      hint: `Set it to an address like ${DEFAULT_ENDPOINT} or http://localhost:8080, or unset it.`,
    })
  if (!URL.canParse(value)) throw bad('is not a URL')
  const url = new URL(value)
  const shown = ` (${url.protocol}//${url.host}${url.pathname})`
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw bad('must start with http:// or https://')
  if (url.username !== '' || url.password !== '')
    throw bad('must not hold a user name or password; put the token into HF_TOKEN', shown)
  if (url.search !== '' || url.hash !== '') throw bad('must not hold a query or a fragment', shown)
  return (url.origin + url.pathname).replace(/\/+$/, '')
}

function tokenOf(env: Environment): string | undefined {
  if (isTrue(env['HF_HUB_DISABLE_IMPLICIT_TOKEN'])) return undefined
  const fromEnvironment = clean(env['HF_TOKEN'], 'HF_TOKEN')
  if (fromEnvironment !== undefined) return fromEnvironment
  const home = env['HOME'] || homedir()
  const under = (path: string) => (path === '~' || path.startsWith('~/') ? join(home, path.slice(1)) : path)
  const cache = under(env['XDG_CACHE_HOME'] || join(home, '.cache'))
  const hfHome = under(env['HF_HOME'] || join(cache, 'huggingface'))
  const path = under(env['HF_TOKEN_PATH'] || join(hfHome, 'token'))
  return clean(readTokenFile(path), `the token file ${path}`)
}

function readTokenFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new ShardmillError('USAGE', `cannot read the Hugging Face token file ${path} (${code})`, {
      hint: 'Make it readable, or set HF_TOKEN, or set HF_HUB_DISABLE_IMPLICIT_TOKEN=1 to go without a token.',
      cause: error,
    })
  }
}

function clean(text: string | undefined, where: string): string | undefined {
  const token = text?.trim()
  if (token === undefined || token === '') return undefined
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new ShardmillError('USAGE', `${where} holds a space, line break or other sign that no token has`, {
      hint: 'Copy the token anew from the settings page of the hub.',
    })
  }
  return token
}

/** The spellings that `huggingface_hub` takes for yes. */
function isTrue(value: string | undefined): boolean {
  return ['1', 'ON', 'YES', 'TRUE'].includes((value ?? '').toUpperCase())
}

function wholeNumber(env: Environment, name: string, fallback: number, least: number, most: number): number {
  const text = env[name]?.trim()
  if (text === undefined || text === '') return fallback
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value
  throw new ShardmillError(
    'USAGE',
    `${name} is ${JSON.stringify(text)}, expected a whole number from ${least} to ${most}`,
  )
}
