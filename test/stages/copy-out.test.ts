import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { copyOut } from '../../stages/copy-out.ts'
import type { Digest, Store } from '../../store/types.ts'
import { withTempStore } from './temp-store.ts'

interface Case {
  readonly store: Store
  readonly bytes: Buffer
  readonly digest: Digest
  readonly path: string
  readonly hashedAs: string | undefined
}

async function withBlob(work: (of: Case) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'shardmill-copy-'))
  try {
    await withTempStore(async (store) => {
      const bytes = randomBytes(3 << 20)
      const { digest } = await store.putBlob(bytes)
      const hashedAs = await store.identity(digest)
      await work({ store, bytes, digest, path: join(folder, 'copy.bin'), hashedAs })
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test('a blob that was hashed a moment ago is copied or cloned whole, to a file that its owner may write', async () => {
  await withBlob(async ({ store, bytes, digest, path, hashedAs }) => {
    await copyOut(store, digest, path, { hashedAs })
    expect(readFileSync(path).equals(bytes)).toBe(true)
    expect(statSync(path).mode & 0o777).toBe(0o644)
    writeFileSync(path, 'changed')
    expect(Buffer.from(await store.readBlobBytes(digest)).equals(bytes)).toBe(true)
  })
})

test('a file that has changed since it was hashed is not copied for what it was', async () => {
  await withBlob(async ({ store, bytes, digest, path }) => {
    let written = 0
    await copyOut(store, digest, path, { hashedAs: 'some other file', onWritten: () => written++ })
    expect(written).toBe(1)
    expect(readFileSync(path).equals(bytes)).toBe(true)
  })
})

test('a file that is there already stays as it is', async () => {
  await withBlob(async ({ store, digest, path, hashedAs }) => {
    writeFileSync(path, 'mine')
    await expect(copyOut(store, digest, path, { hashedAs })).rejects.toMatchObject({ code: 'EEXIST' })
    expect(readFileSync(path, 'utf8')).toBe('mine')
  })
})
