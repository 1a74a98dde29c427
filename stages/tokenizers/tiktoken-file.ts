import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'

/** The bytes of an encoding's file in the tiktoken package. */
export async function tiktokenFile(encoding: string): Promise<Uint8Array> {
  return readFile(createRequire(import.meta.url).resolve(`tiktoken/encoders/${encoding}.json`))
}
