import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { scrub, showUrl } from '../../hub/client/redact.ts'
import { askedWait } from '../../hub/client/retry.ts'
import { hubSettings } from '../../hub/client/settings.ts'

let home: string
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'settings-'))
  await mkdir(join(home, '.cache/huggingface'), { recursive: true })
  await mkdir(join(home, 'xdg/huggingface'), { recursive: true })
  await mkdir(join(home, 'hf'))
  await writeFile(join(home, '.cache/huggingface/token'), 'hf_from_home\n')
  await writeFile(join(home, 'xdg/huggingface/token'), ' hf_from_xdg ')
  await writeFile(join(home, 'hf/token'), 'hf_from_hf_home')
  await writeFile(join(home, 'elsewhere'), 'hf_from_path\n')
  await writeFile(join(home, 'empty'), ' \n')
})
afterAll(() => rm(home, { recursive: true, force: true }))

describe('the token comes from', () => {
  const cases: [string, (home: string) => Record<string, string>, string | undefined][] = [
    [
      'HF_TOKEN before all files',
      (h) => ({ HF_TOKEN: ' hf_env \n', HF_TOKEN_PATH: `${h}/elsewhere` }),
      'hf_env',
    ],
    [
      'HF_TOKEN_PATH before HF_HOME',
      (h) => ({ HF_TOKEN_PATH: `${h}/elsewhere`, HF_HOME: `${h}/hf` }),
      'hf_from_path',
    ],
    ['HF_TOKEN_PATH with ~', () => ({ HF_TOKEN_PATH: '~/elsewhere' }), 'hf_from_path'],
    [
      'HF_HOME before XDG_CACHE_HOME',
      (h) => ({ HF_HOME: `${h}/hf`, XDG_CACHE_HOME: `${h}/xdg` }),
      'hf_from_hf_home',
    ],
    ['XDG_CACHE_HOME', (h) => ({ XDG_CACHE_HOME: `${h}/xdg` }), 'hf_from_xdg'],
    ['the home folder', () => ({}), 'hf_from_home'],
    ['the file when HF_TOKEN is empty', () => ({ HF_TOKEN: '' }), 'hf_from_home'],
    ['nowhere when the file is empty', (h) => ({ HF_TOKEN_PATH: `${h}/empty` }), undefined],
    ['nowhere when there is no file', (h) => ({ HF_HOME: `${h}/none` }), undefined],
    [
      'nowhere when forbidden',
      () => ({ HF_TOKEN: 'hf_env', HF_HUB_DISABLE_IMPLICIT_TOKEN: 'true' }),
      undefined,
    ],
  ]
  test.each(cases)('%s', (_, env, expected) => {
    expect(hubSettings({ HOME: home, ...env(home) }).token).toBe(expected)
  })

  test('no file that cannot be read: an error names the file', () => {
    expect(() => hubSettings({ HF_TOKEN_PATH: home })).toThrow(
      expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(home) }),
    )
  })

  test('no text that cannot be a token, and the error does not show it', () => {
    let seen: unknown
    try {
      hubSettings({ HF_TOKEN: 'hf_secret with\nbreak' })
    } catch (error) {
      seen = error
    }
    expect(seen).toMatchObject({ code: 'USAGE' })
    expect(String(seen)).not.toContain('secret')
  })
})

describe('the endpoint', () => {
  test('loses its slashes and defaults to the public hub', () => {
    expect(hubSettings({ HF_ENDPOINT: 'http://localhost:8080//', HF_TOKEN: 'x' }).endpoint).toBe(
      'http://localhost:8080',
    )
    expect(hubSettings({ HF_ENDPOINT: 'https://mirror.example/hf/', HF_TOKEN: 'x' }).endpoint).toBe(
      'https://mirror.example/hf',
    )
    expect(hubSettings({ HF_ENDPOINT: '', HF_TOKEN: 'x' }).endpoint).toBe('https://huggingface.co')
  })

  test.each(['huggingface.co', 'ftp://host', 'https://host/?x=1', 'https://host/#x', '::'])(
    '%s is refused',
    (value) => {
      expect(() => hubSettings({ HF_ENDPOINT: value })).toThrow(expect.objectContaining({ code: 'USAGE' }))
    },
  )

  test('with a password is refused without showing it', () => {
    let seen: unknown
    try {
      hubSettings({ HF_ENDPOINT: 'https://me:hunter2@host' })
    } catch (error) {
      seen = error
    }
    expect(seen).toMatchObject({ code: 'USAGE', message: expect.stringContaining('https://host/') })
    expect(String(seen)).not.toContain('hunter2')
  })
})

test('HF_HUB_OFFLINE and our own two variables are read', () => {
  const env = { HF_TOKEN: 'x', SHARDMILL_HUB_RETRIES: '0', SHARDMILL_HUB_TIMEOUT_MS: '600' }
  expect(hubSettings(env)).toMatchObject({
    offline: false,
    retry: { tries: 1, idleMs: 600, totalMs: 12_000 },
  })
  expect(hubSettings({ HF_TOKEN: 'x', HF_HUB_OFFLINE: '1' }).offline).toBe(true)
  expect(hubSettings({ HF_TOKEN: 'x', HF_HUB_OFFLINE: '0' }).offline).toBe(false)
  for (const value of ['-1', '1.5', 'many']) {
    expect(() => hubSettings({ HF_TOKEN: 'x', SHARDMILL_HUB_RETRIES: value })).toThrow(
      /SHARDMILL_HUB_RETRIES/,
    )
  }
  // A timer takes 2^31 milliseconds at most, and fires at once for more.
  for (const value of ['0', '100000001', '1e12']) {
    expect(() => hubSettings({ HF_TOKEN: 'x', SHARDMILL_HUB_TIMEOUT_MS: value })).toThrow(
      /SHARDMILL_HUB_TIMEOUT_MS is .* from 1 to 100000000/,
    )
  }
  const longest = hubSettings({ HF_TOKEN: 'x', SHARDMILL_HUB_TIMEOUT_MS: '100000000' }).retry
  expect(longest.totalMs).toBeLessThan(2 ** 31)
})

test.each([
  [{ 'retry-after': '7' }, 7000],
  [{ 'retry-after': 'Wed, 21 Oct 2026 07:28:30 GMT', date: 'Wed, 21 Oct 2026 07:28:00 GMT' }, 30_000],
  [{ 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT', date: 'Wed, 21 Oct 2026 07:28:00 GMT' }, 0],
  [{ ratelimit: '"api";r=0;t=55' }, 55_000],
  [{ ratelimit: 'limit=100, r=0, t=3' }, 3000],
  [{ 'retry-after': '2', ratelimit: '"api";r=0;t=55' }, 2000],
  [{ 'retry-after': 'soon', ratelimit: '"api";r=0;t=55' }, 55_000],
  [{ 'retry-after': '-5' }, undefined],
  [{ 'retry-after': '5, 6', ratelimit: '"api";r=0;t=55' }, 55_000],
  [{ 'ratelimit-reset': '9' }, 9000],
  [{}, undefined],
])('%j asks to wait %s ms', (headers, expected) => {
  expect(askedWait(new Headers(headers as Record<string, string>))).toBe(expected)
})

test('what is shown holds no secret and no control characters', () => {
  expect(showUrl('https://u:p@host/a/b?Signature=abc#x')).toBe('https://host/a/b')
  expect(showUrl('no url')).toBe('an address that is no URL')
  const said = 'bad token my-own-token, hf_AbCdEf123, Bearer xyz at https://u:p@h/x?sig=1 \x1b[31mred\r\n'
  const shown = scrub(said, 'my-own-token')
  expect(shown).toBe('bad token ***, ***, Bearer *** at https://h/x [31mred')
  expect(scrub('x'.repeat(1000), undefined)).toHaveLength(301)
})
