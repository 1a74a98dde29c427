/** Names of repositories and of files in them: checked before they reach a URL or a file system. */
import { ShardmillError } from '../../errors/index.ts'

/** What a repository holds; absent: a dataset. */
export type RepoType = 'model' | undefined

/** As people call it. */
export function nounOf(type: RepoType): string {
  return type ?? 'dataset'
}

/** The repository's page on the hub. */
export function pageOf(endpoint: string, repo: string, type: RepoType): string {
  return `${endpoint}/${type === 'model' ? '' : 'datasets/'}${repo}`
}

/** A file of a dataset or model at one commit. */
export interface HubFile {
  readonly repo: string
  readonly type?: 'model'
  /** Git commit, 40 hex digits: what the file is at this commit never changes. */
  readonly commit: string
  /** Path in the repository, with `/`. */
  readonly path: string
  readonly bytes: number
  /** Of the content, for large files (LFS); 64 hex digits. */
  readonly sha256?: string
  /** Git's own id, 40 hex digits: of the content where there is no `sha256`, else of the LFS pointer. */
  readonly gitOid?: string
}

/** Throws `RECIPE` unless `repo` is `name` or `namespace/name` in the hub's letters. */
export function checkRepo(repo: string, type?: RepoType): void {
  const part = '[A-Za-z0-9_][A-Za-z0-9._-]*'
  if (new RegExp(`^${part}(/${part})?$`).test(repo) && !repo.includes('..') && repo.length <= 200) return
  throw new ShardmillError('RECIPE', `${JSON.stringify(repo)} is not the name of a ${nounOf(type)}`, {
    hint: `A ${nounOf(type)} is named as in its address on the hub, for example "${type === 'model' ? 'Qwen/Qwen3-0.6B' : 'openai/gsm8k'}".`,
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
 * parts, a drive letter, NUL, or a backslash; and for one with half a character, which no address can hold.
 */
export function checkRepoPath(path: string, repo: string): void {
  if (/\p{Surrogate}/u.test(path)) throw badPath(path, repo, 'is no valid Unicode')
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

function badPath(path: string, repo: string, why = 'would leave its folder'): ShardmillError {
  const shown = JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path)
  return new ShardmillError('HUB_ANSWER', `${repo} lists a file named ${shown}, which ${why}`, {
    hint: 'Do not use it before its owner has looked into it.',
  })
}

/** Address of a file's bytes. */
export function resolveUrl(endpoint: string, { repo, type, commit, path }: HubFile): string {
  const segments = path.split('/').map(encodeURIComponent).join('/')
  return `${pageOf(endpoint, repo, type)}/resolve/${encodeURIComponent(commit)}/${segments}`
}
