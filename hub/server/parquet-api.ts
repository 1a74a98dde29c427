/** `/parquet[/{config}[/{split}[/{n}.parquet]]]`: the addresses of a dataset's parquet files. */
import type { ServerResponse } from 'node:http'
import { noEntry, Refusal } from './refusal.ts'
import { encodePath, encodeSegment, sendJson, sendRedirect } from './reply.ts'
import { CONVERT, type Repo } from './repos.ts'
import type { Snapshot } from './snapshot.ts'

export async function parquetFiles(
  response: ServerResponse,
  repo: Repo,
  segments: readonly string[],
  base: string,
): Promise<void> {
  const [config, split, file] = segments
  const snapshot = await converted(repo)
  const all = new Map<string, Map<string, string[]>>()
  for (const path of snapshot?.files.keys() ?? []) {
    const [inConfig, inSplit] = path.split('/') as [string, string]
    const splits = all.get(inConfig) ?? new Map<string, string[]>()
    const urls = splits.get(inSplit) ?? []
    const place = `${encodeSegment(inConfig)}/${encodeSegment(inSplit)}/${urls.length}.parquet`
    urls.push(`${base}/api/datasets/${repo.id}/parquet/${place}`)
    all.set(inConfig, splits.set(inSplit, urls))
  }
  if (config === undefined) {
    return sendJson(
      response,
      Object.fromEntries([...all].map(([key, value]) => [key, Object.fromEntries(value)])),
    )
  }
  const splits = all.get(config)
  if (splits === undefined)
    throw new Refusal(404, `The dataset has no parquet files for the config "${config}"`)
  if (split === undefined) return sendJson(response, Object.fromEntries(splits))
  const urls = splits.get(split)
  if (urls === undefined) {
    throw new Refusal(404, `The config "${config}" has no parquet files for the split "${split}"`)
  }
  if (file === undefined) return sendJson(response, urls)
  const number = /^(0|[1-9]\d{0,8})\.parquet$/.exec(file)?.[1]
  if (segments.length > 3 || number === undefined || Number(number) >= urls.length) {
    throw noEntry(segments.join('/'), snapshot!.commit)
  }
  const path = encodePath(`${config}/${split}/${number.padStart(4, '0')}.parquet`)
  sendRedirect(response, `${base}/datasets/${repo.id}/resolve/${encodeSegment(CONVERT)}/${path}`)
}

async function converted(repo: Repo): Promise<Snapshot | undefined> {
  try {
    return await repo.at(CONVERT)
  } catch (error) {
    if (error instanceof Refusal && error.code === 'RevisionNotFound') return undefined
    throw error
  }
}
