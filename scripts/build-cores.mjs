// Compiles bpe/core/ and parquet/core/ to WebAssembly, and writes bpe/core-bytes.ts and parquet/core-bytes.ts. Only
// for who changes those files; it needs Zig's C compiler (`zig` on the PATH, or ZIG=…; on PyPI as ziglang). The bytes
// in the repo were made by Zig 0.17.0.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const flags =
  '-target wasm32-freestanding -O3 -nostdlib -mbulk-memory -s -Wl,--no-entry -Wl,--export=__heap_base -Wl,-z,stack-size=16384'

build('bpe', 'encode.c', [])
build('parquet', 'snappy.c', ['-msimd128'])

function build(room, main, moreFlags) {
  const sources = join(root, room, 'core')
  const work = mkdtempSync(join(tmpdir(), 'core-'))
  const output = join(work, 'core.wasm')
  const { status, error } = spawnSync(
    process.env['ZIG'] ?? 'zig',
    ['cc', ...flags.split(' '), ...moreFlags, main, '-o', output],
    { cwd: sources, stdio: 'inherit' },
  )
  if (status !== 0) throw error ?? new Error('the C compiler failed')
  const hash = createHash('sha256')
  for (const name of readdirSync(sources).sort()) hash.update(name).update(readFileSync(join(sources, name)))
  const lines = readFileSync(output)
    .toString('hex')
    .match(/.{1,100}/g)
    .map((line) => `  '${line}'`)
  rmSync(work, { recursive: true })
  writeFileSync(
    join(root, room, 'core-bytes.ts'),
    `// Made by scripts/build-cores.mjs from core/: run it, never edit this.

/** sha256 over the names and bytes of the files it was made from. */
export const CORE_SOURCES = '${hash.digest('hex')}'

/** The WebAssembly module, hexadecimal: what is made by chance spells no words. */
export const CORE_BYTES = [
${lines.join(',\n')},
].join('')
`,
  )
}
