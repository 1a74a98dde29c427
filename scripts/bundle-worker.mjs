// Bundles dist/stages/cpu-worker.js: every build starts a few threads, and three hundred small files take each of them
// three times as long to load as one.
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { isExternal } from './bundled-packages.mjs'

const dist = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..', 'dist'))
const bundle = await rolldown({
  input: { 'cpu-worker.bundle': join(dist, 'stages', 'cpu-worker.js') },
  platform: 'node',
  external: isExternal,
  logLevel: 'warn',
})
await bundle.write({
  dir: join(dist, 'stages'),
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: 'cpu-worker.[name].bundle.js',
})
await bundle.close()
