/** Names of datasets and of files in them: checked before they reach a URL or a file system. */
import { ShardmillError } from '../../errors/index.ts'

/** A file of a dataset at one commit. */
export interface HubFile {
  readonly repo: string
  /** Git commit, 40 hex digits: what the file is at this commit never changes. */
  readonly commit: string
  /** Path in the dataset, with `/`. */
  readonly path: string
  readonly bytes: number
  /** Of the content, for large files (LFS); 64 hex digits. */
  readonly sha256?: string
  /** Git's own id, 40 hex digits: of the content where there is no `sha256`, else of the LFS pointer. */
  readonly gitOid?: string
}

/** Throws `RECIPE` unless `repo` is `name` or `namespace/name` in the hub's letters. */
export function checkRepo(repo: string): void {
  const part = '[A-Za-z0-9_][A-Za-z0-9._-]*'
  if (new RegExp(`^${part}(/${part})?$`).test(repo) && !repo.includes('..') && repo.length <= 200) return
  throw new ShardmillError('RECIPE', `${JSON.stringify(repo)} is not the name of a dataset`, {
    hint: 'A dataset is named as in its address on the hub, for example "openai/gsm8k".',
  })
}

/** Throws `RECIPE` for a revision that no git ref can be. */
export function checkRevision(revision: string): void {
  if (/^[^\s\x00-\x1f\x7f~^:?*[\\]+$/.test(revision) && !revision.includes('..')) return
  throw new ShardmillError('RECIPE', `${JSON.stringify(revision)} is not a revision`, {
    hint: 'Name a branch, a tag or a commit (40 hex digits).',
  })
}

/**
 * Throws `HUB_ANSWER` for a path that could leave its folder on some system: absolute, with `.` or `..` or empty
 * parts, a drive letter, NUL, or a backslash.
 */
export function checkRepoPath(path: string, repo: string): void {
  if (!leavesFolder(path) && !path.includes('\\') && !/^[A-Za-z]:/.test(path)) return
  throw badPath(path, repo)
}

/** As `checkRepoPath`, but lets `\` and `x:` pass: git knows such names, and nobody need use the file. */
export function checkListedPath(path: string, repo: string): void {
  if (leavesFolder(path)) throw badPath(path, repo)
}

function leavesFolder(path: string): boolean {
  if (path.includes('\0')) return true
  return path.split('/').some((part) => part === '' || part === '.' || part === '..')
}

function badPath(path: string, repo: string): ShardmillError {
  const shown = JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path)
  return new ShardmillError(
    'HUB_ANSWER',
    `dataset ${repo} lists a file named ${shown}, which would leave its folder`,
    {
      hint: 'Do not use this dataset before its owner has looked into it.',
    },
  )
}

/** Address of a file's bytes. */
export function resolveUrl(endpoint: string, { repo, commit, path }: HubFile): string {
  const segments = path.split('/').map(encodeURIComponent).join('/')
  return `${endpoint}/datasets/${repo}/resolve/${encodeURIComponent(commit)}/${segments}`
}
