import { stageKey } from '../pipeline/keys.ts'
import { type FileStore, openFileStore } from '../store/file-store.ts'

export interface OpenOptions {
  readonly onWarning?: (text: string) => void
  /** Look only: a store that does not exist is an empty one. */
  readonly readOnly?: boolean
}

/** The store at a location: a folder. */
export function openStore(location: string, options: OpenOptions = {}): Promise<FileStore> {
  return openFileStore(location, { keyOf: stageKey, ...options })
}
