/**
 * One file from the hub to the disk: resumed where it stopped (`Range`, `If-Range`), tried again while that helps,
 * hashed on the way, and handed over only when length and digest are what the listing says.
 */
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ShardmillError } from '../../errors/index.ts'
import type { Answer } from './http.ts'
import type { CallOptions, Hub } from './hub.ts'
import { PartFile, storing } from './part-file.ts'
import { claimSlot, type Slot } from './part-lock.ts'
import { checkRepoPath, type HubFile, resolveUrl } from './paths.ts'
import { refusal } from './refusals.ts'
import { HubFault, throwIfAborted, withRetries } from './retry.ts'

/** A try that brings this much more than ever before is progress: the count of failures starts anew. */
const PROGRESS_BYTES = 1 << 20

export interface DownloadOptions extends CallOptions {
  /** Bytes of the file on disk so far; falls back to 0 when the download has to start over. */
  readonly onProgress?: ((bytesSoFar: number) => void) | undefined
  /**
   * Takes the finished file (say, moves it into the store) while no other process can touch it; afterwards nothing is
   * left at `path`. Without it the file stays at the `path` of the result.
   */
  readonly take?: ((path: string, digest: { sha256: string; bytes: number }) => Promise<void>) | undefined
}

export interface Downloaded {
  readonly sha256: string
  readonly bytes: number
  /** `partPath`, or `partPath.N` when another process was downloading to it at the same time (see part-lock.ts). */
  readonly path: string
}

/**
 * Downloads `file` to `into.partPath` (its folder is made), going on from a part of the same content that an earlier
 * process left there. Durable on return. Safe to run in several processes on one `partPath`.
 *
 * Errors: `HUB_UNREACHABLE`, `HUB_DENIED`, `NOT_FOUND` as everywhere here; `HUB_ANSWER` when the bytes are wrong twice,
 * too few or too many; `STORE` when the disk refuses; `INTERRUPTED`. The part is kept unless its bytes were wrong.
 */
export async function downloadFile(
  hub: Hub,
  file: HubFile,
  into: { readonly partPath: string },
  options: DownloadOptions = {},
): Promise<Downloaded> {
  checkRepoPath(file.path, file.repo)
  const signal = options.signal ?? hub.defaults.signal
  throwIfAborted(signal)
  const folder = dirname(into.partPath)
  const slot = await storing(folder, async () => {
    await mkdir(folder, { recursive: true })
    return claimSlot(into.partPath)
  })
  try {
    const wanted = { content: contentOf(file), bytes: file.bytes, gitOid: checksGitOid(file) }
    const part = await PartFile.open(slot.path, wanted, signal)
    try {
      const sha256 = await fill(hub, file, part, slot, { ...options, signal })
      await part.sync()
      await assertHeld(slot)
      await part.close()
      if (options.take !== undefined) {
        await options.take(slot.path, { sha256, bytes: file.bytes })
        await part.remove()
      }
      return { sha256, bytes: file.bytes, path: slot.path }
    } finally {
      await part.close()
    }
  } finally {
    await slot.release()
  }
}

/** Completes the part and checks it; wrong bytes are fetched once more from the start. Returns the sha256. */
async function fill(
  hub: Hub,
  file: HubFile,
  part: PartFile,
  slot: Slot,
  options: DownloadOptions,
): Promise<string> {
  const fetchRest = restFetcher(hub, file, part, slot, options)
  options.onProgress?.(part.bytes)
  for (let wrong = 0; ; wrong++) {
    if (!part.complete) {
      await withRetries(fetchRest, {
        limits: hub.http.settings.retry,
        signal: options.signal,
        onRetry: options.onRetry ?? hub.defaults.onRetry,
      })
    }
    const found = part.digests()
    const expected = file.sha256 ?? (checksGitOid(file) ? file.gitOid : undefined)
    const got = file.sha256 === undefined ? found.gitOid : found.sha256
    if (expected === undefined || got === expected) return found.sha256
    await part.restart()
    options.onProgress?.(0)
    if (wrong === 0) continue
    await part.remove()
    const kind = file.sha256 === undefined ? 'git blob id' : 'sha256'
    throw new ShardmillError(
      'HUB_ANSWER',
      `the hub sent wrong bytes twice: expected ${kind} ${expected}, got ${got}`,
      {
        at: { file: `${file.repo}/${file.path}` },
        hint: 'A proxy or mirror on the way may hold a damaged copy; try another HF_ENDPOINT, or later.',
        retryable: true,
        details: { expected, got, commit: file.commit },
      },
    )
  }
}

/** One try: asks for what is missing and appends it. Ends well only with all bytes there. */
function restFetcher(
  hub: Hub,
  file: HubFile,
  part: PartFile,
  slot: Slot,
  { signal, onProgress }: DownloadOptions,
): () => Promise<void> {
  const name = `${file.repo}/${file.path}`
  // Never falls: a hub whose ETag changes with each answer makes us start over, and that must not count as progress.
  let mark = part.bytes
  let restartedAfter416 = false

  const startOver = async () => {
    await part.restart()
    onProgress?.(0)
  }

  /** Asks for the rest; undefined when the part had to be thrown away and the same try may ask again. */
  async function ask(): Promise<Answer | undefined> {
    const answer = await hub.http.get(resolveUrl(hub.endpoint, file), { headers: askFor(part), signal })
    try {
      return await judge(answer)
    } catch (error) {
      answer.discard() // or its connection would be kept for a body that nobody reads
      throw error
    }
  }

  async function judge(answer: Answer): Promise<Answer | undefined> {
    const offset = part.bytes
    const etag = answer.headers.get('etag') ?? undefined
    if (answer.status === 200) {
      checkLength(answer, file)
      if (offset > 0) await startOver()
      await part.remember(etag)
      return answer
    }
    if (answer.status === 206 && offset > 0) {
      const changed = part.etag !== undefined && etag !== undefined && part.etag !== etag
      if (!changed && !isEncoded(answer) && rangeStart(answer, file) === offset) return answer
      answer.discard()
      await startOver()
      return undefined
    }
    if (answer.status === 416 && offset > 0 && !restartedAfter416) {
      answer.discard()
      restartedAfter416 = true
      await startOver()
      return undefined
    }
    if (answer.status === 416) {
      throw new ShardmillError(
        'HUB_ANSWER',
        `the hub lists ${file.bytes} bytes, but answers 416 to a request for them`,
        {
          at: { file: name },
          details: { status: 416 },
          retryable: true,
        },
      )
    }
    throw await refusal(
      answer,
      { repo: file.repo, type: file.type, revision: file.commit, path: file.path },
      hub.http.settings,
    )
  }

  async function receive(answer: Answer): Promise<void> {
    try {
      for await (const chunk of answer.chunks()) {
        if (part.bytes + chunk.length > file.bytes) {
          await startOver()
          throw new HubFault(`the hub sent more than the ${file.bytes} bytes that it lists for ${name}`, {
            code: 'HUB_ANSWER',
          })
        }
        await part.append(chunk)
        onProgress?.(part.bytes)
      }
    } finally {
      await part.flush()
    }
    if (part.complete) return
    throw new HubFault(`the answer for ${name} ended after ${part.bytes} of ${file.bytes} bytes`, {
      code: 'HUB_ANSWER',
    })
  }

  return async () => {
    await assertHeld(slot)
    try {
      const answer = (await ask()) ?? (await ask())
      if (answer === undefined)
        throw new HubFault(`the hub sent ranges of ${name} that do not fit`, { code: 'HUB_ANSWER' })
      if (!commitIsRight(answer, file)) {
        answer.discard()
        await startOver()
        throw new HubFault(`the hub sent ${name} of another commit than asked`, { code: 'HUB_ANSWER' })
      }
      await receive(answer)
    } catch (error) {
      if (error instanceof HubFault && part.bytes >= mark + PROGRESS_BYTES) {
        mark = part.bytes
        error.progressed = true
      }
      throw error
    }
  }
}

function askFor(part: PartFile): Record<string, string> {
  // `identity`: a range of a compressed answer would be of no use.
  const headers = { 'accept-encoding': 'identity' }
  if (part.bytes === 0) return headers
  const range = { ...headers, range: `bytes=${part.bytes}-` }
  // A weak ETag may not stand in If-Range (RFC 9110, 13.1.5); the digest at the end judges then.
  return part.etag === undefined || part.etag.startsWith('W/') ? range : { ...range, 'if-range': part.etag }
}

/** A declared length above the listed one is refused before a byte is fetched; one below shows as a short body. */
function checkLength(answer: Answer, file: HubFile): void {
  const declared = Number(answer.headers.get('content-length') ?? Number.NaN)
  if (isEncoded(answer) || !(declared > file.bytes)) return
  const what = `the hub lists ${file.bytes} bytes for ${file.repo}/${file.path}, but offers ${declared}`
  throw new HubFault(what, { code: 'HUB_ANSWER' })
}

/** First byte that a 206 answer holds; a `HubFault` when the answer does not say or speaks of another file size. */
function rangeStart(answer: Answer, file: HubFile): number {
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(answer.headers.get('content-range') ?? '')
  if (range !== null && (range[2] === '*' || Number(range[2]) === file.bytes)) return Number(range[1])
  throw new HubFault(`the hub sent another range of ${file.repo}/${file.path} than asked`, {
    code: 'HUB_ANSWER',
  })
}

function isEncoded(answer: Answer): boolean {
  const encoding = answer.headers.get('content-encoding')
  return encoding !== null && encoding !== 'identity'
}

/** Matters only where no digest can tell. */
function commitIsRight(answer: Answer, file: HubFile): boolean {
  const commit = answer.hubHeaders.get('x-repo-commit')
  return file.sha256 !== undefined || file.gitOid !== undefined || commit === null || commit === file.commit
}

/** Beside an LFS digest the git id is that of the pointer file. */
function checksGitOid(file: HubFile): boolean {
  return file.sha256 === undefined && file.gitOid !== undefined
}

function contentOf(file: HubFile): string {
  if (file.sha256 !== undefined) return `sha256:${file.sha256}`
  return file.gitOid === undefined ? `${file.repo}@${file.commit}/${file.path}` : `git:${file.gitOid}`
}

async function assertHeld(slot: Slot): Promise<void> {
  if (await slot.held()) return
  throw new ShardmillError(
    'STORE',
    `another process has taken over ${slot.path}: this one did not move for a minute`,
    {
      retryable: true,
      hint: 'Run the same command again.',
    },
  )
}
