// Bundles dist/cli/main.js in place, a file for each part that is loaded on its own: `--help` loads two files, and a
// build some ten in place of four hundred.
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { isExternal } from './bundled-packages.mjs'

const dist = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..', 'dist'))
const cli = join(dist, 'cli')

/** Modules find files beside themselves; from a chunk they lie elsewhere. */
const ownAddress = {
  name: 'own-address',
  transform(code, id) {
    if (!id.startsWith(dist) || !code.includes('import.meta.url')) return null
    const path = relative(cli, id).split(sep).join('/')
    return code.replaceAll('import.meta.url', `new URL(${JSON.stringify(path)}, import.meta.url).href`)
  },
}

const bundle = await rolldown({
  input: { main: join(cli, 'main.js') },
  platform: 'node',
  external: isExternal,
  plugins: [ownAddress],
  logLevel: 'warn',
})
await bundle.write({
  dir: cli,
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: '[name].chunk.js',
})
await bundle.close()
