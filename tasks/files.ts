/** Where a task's files are: on this machine already, or on the hub and then in the store, where builds find them too. */
import { access, readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import { findSplit } from '../hub/client/find-split.ts'
import { createHub, type Hub, type HubFile } from '../hub/client/hub.ts'
import { hubSettings } from '../hub/client/settings.ts'
import { downloadCall } from '../pipeline/context.ts'
import { keyOf } from '../pipeline/stage.ts'
import { fetchUrl } from '../recipe/fetch-url.ts'
import { noProgress } from '../stages/define-stage.ts'
import { createDownload } from '../stages/download.ts'
import { openStore } from '../stages/open-store.ts'
import { runStage } from '../stages/run-stage.ts'
import type { AuxFile, TableOrigin } from '../stages/sources/define-source.ts'
import type { Digest } from '../store/types.ts'
import type { RowFile } from './rows.ts'

type OpenedStore = Awaited<ReturnType<typeof openStore>>

export interface TaskContext {
  /** Folder or address of the store, for files of the hub; default: SHARDMILL_STORE of the environment. */
  readonly store?: string
  /** Folder that relative paths start from; default: the working folder. */
  readonly folder?: string
  /** Where HF_ENDPOINT, HF_TOKEN and the like are read; default: the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly signal?: AbortSignal
  /** Told of every wait and warning, in a sentence. */
  readonly onNotice?: (text: string) => void
}

/** Files for one task. The store is opened on first use and closed by `close`. */
export class TaskFiles {
  private readonly context: TaskContext
  private readonly signal: AbortSignal
  private opened: Promise<OpenedStore> | undefined
  private connected: Hub | undefined

  constructor(context: TaskContext) {
    this.context = context
    this.signal = context.signal ?? new AbortController().signal
  }

  /** The files of a table, in their order; those of the hub are downloaded. */
  async table(origin: TableOrigin): Promise<RowFile[]> {
    if (origin.kind === 'local') {
      const reader = /\.(jsonl|ndjson|json)$/i.test(origin.path) ? 'jsonl' : 'parquet'
      return [{ path: this.pathOf(origin.path), name: origin.path, reader }]
    }
    const { repo, subset, split, revision, files } = origin
    const found = await findSplit(this.hub(), repo, { subset, split, revision, files })
    const rows: RowFile[] = []
    for (const file of found.files)
      rows.push({ path: await this.download(file), name: `${repo}/${file.path}`, reader: found.format })
    return rows
  }

  /** A local file of JSON lines, or undefined when it is not there and need not be. */
  async lines({ path, optional }: { path: string; optional: boolean }): Promise<RowFile | undefined> {
    const full = this.pathOf(path)
    if (optional && !(await isThere(full))) return undefined
    return { path: full, name: path, reader: 'jsonl' }
  }

  /** The bytes and the name of a file that shapes every row. */
  async aux(role: string, file: AuxFile): Promise<{ bytes: Uint8Array; name: string }> {
    switch (file.kind) {
      case 'default':
        return { bytes: await file.load(), name: file.name }
      case 'local':
        return { bytes: await this.read(role, file.path), name: file.path }
      case 'url':
        return { bytes: await fetchUrl(file.url, role, this.signal), name: file.url }
      case 'hub': {
        const commit = await this.hub().resolveRevision(file.repo, file.revision)
        const found = (await this.hub().listFiles(file.repo, commit)).find(({ path }) => path === file.path)
        if (found !== undefined)
          return { bytes: await readFile(await this.download(found)), name: `${file.repo}/${file.path}` }
        throw new ShardmillError(
          'NOT_FOUND',
          `${role}: dataset ${file.repo} has no file ${JSON.stringify(file.path)} at revision ${file.revision}`,
        )
      }
    }
  }

  async close(): Promise<void> {
    await (await this.opened?.catch(() => undefined))?.close()
  }

  private pathOf(path: string): string {
    return resolve(this.context.folder ?? '.', path)
  }

  private async read(role: string, path: string): Promise<Uint8Array> {
    try {
      return await readFile(this.pathOf(path))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const why = code === 'ENOENT' ? `there is no file ${path}` : `${path} cannot be read (${code})`
      throw new ShardmillError(code === 'ENOENT' ? 'NOT_FOUND' : 'BAD_FILE', `${role}: ${why}`, {
        cause: error,
      })
    }
  }

  private hub(): Hub {
    const { env = process.env, onNotice } = this.context
    this.connected ??= createHub(hubSettings(env), {
      signal: this.signal,
      onRetry: ({ message }) => onNotice?.(message),
    })
    return this.connected
  }

  private store(): Promise<OpenedStore> {
    const { store = (this.context.env ?? process.env)['SHARDMILL_STORE'], onNotice } = this.context
    if (store === undefined || store === '') {
      throw new ShardmillError('USAGE', 'files of the hub need a store to be kept in', {
        hint: 'Name a folder: the option `store`, or SHARDMILL_STORE in the environment.',
      })
    }
    // A scheme has two letters at least: `C:` is a drive.
    const location = /^[a-z][a-z0-9+.-]+:/i.test(store) ? store : resolve(store)
    this.opened ??= openStore(location, onNotice === undefined ? {} : { onWarning: onNotice })
    return this.opened
  }

  /** Path of a file's bytes in the store: from a build or another task, or downloaded now. */
  private async download(file: HubFile): Promise<string> {
    const store = await this.store()
    const { sha256, ...facts } = file
    const pinned = sha256 === undefined ? facts : { ...facts, sha256: sha256 as Digest }
    const call = downloadCall(pinned, file, `${file.repo}/${file.path}`)
    const execute = () =>
      createDownload(() => this.hub()).run(call, {
        store,
        signal: this.signal,
        progress: noProgress,
        notice: (text) => this.context.onNotice?.(text),
        encoderTables: () => Promise.reject(new TypeError('a download encodes nothing')),
      })
    const record =
      (await store.getRecord(keyOf(call))) ??
      (await runStage(call, { store, execute, engine: { engine: 'task' } }))
    const { digest, bytes } = record.outputs['file']!
    return store.localFile(digest, bytes)
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch {
    return false
  }
}
