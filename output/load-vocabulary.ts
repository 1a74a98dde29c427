import { dirname } from 'node:path'
import { ShardmillError } from '../errors/index.ts'
import { openStore } from '../stages/open-store.ts'
import { byteFile } from '../stages/tokenizers/bytes.ts'
import { readTokenizer } from '../stages/tokenizers/index.ts'
import { decodeVocabulary, type StoredVocabulary } from '../stages/tokenizers/vocabulary.ts'
import { findFolder } from './find-folder.ts'
import { vocabularyOf } from './find-shard.ts'

/** The vocabulary a shard was made with: from the store, or, when it is gone there, from the tiktoken package. */
export async function loadVocabulary(shard: string, storeLocation: string): Promise<StoredVocabulary> {
  const manifest = (await findFolder(shard))?.manifest
  if (manifest === undefined)
    throw new ShardmillError('OUTPUT', `${dirname(shard)} has no manifest.json, which tells the tokenizer`, {
      hint: 'Name a shard in a folder that `shardmill build --out` has written.',
    })
  const stored = vocabularyOf(manifest)
  if (stored !== undefined) {
    const store = await openStore(storeLocation, { readOnly: true })
    try {
      if ((await store.statBlob(stored.digest)) === stored.bytes)
        return decodeVocabulary(await store.readBlobBytes(stored.digest))
    } finally {
      await store.close()
    }
  }
  const { tokenizer, template } = manifest.lock
  if (tokenizer.kind === 'bytes') return readTokenizer('bytes', byteFile, tokenizer.name, [])
  if (tokenizer.kind === 'tiktoken') {
    const { tiktokenFile } = await import('../stages/tokenizers/tiktoken-file.ts')
    return readTokenizer('tiktoken', await tiktokenFile(tokenizer.name), tokenizer.name, template.specials)
  }
  throw new ShardmillError('STORE', `the store has no vocabulary for ${tokenizer.name} any more`, {
    hint: 'Name the store it was built in with --store, or build again.',
  })
}
