// Bundles dist/cli/main.js in place, a file for each part that is loaded on its own: `--help` loads two files, and a
// build some ten in place of four hundred.
import { existsSync } from 'node:fs'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { isExternal } from './bundled-packages.mjs'

const dist = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..', 'dist'))
await bundleInPlace(join(dist, 'cli', 'main.js'))
// What the benchmark measures is loaded as the command is.
const measured = join(dist, 'bench', 'build', 'child.js')
if (existsSync(measured)) await bundleInPlace(measured)

async function bundleInPlace(entry) {
  const dir = dirname(entry)
  const bundle = await rolldown({
    input: { [basename(entry, '.js')]: entry },
    platform: 'node',
    external: isExternal,
    plugins: [ownAddress(dir)],
    logLevel: 'warn',
  })
  await bundle.write({ dir, format: 'esm', entryFileNames: '[name].js', chunkFileNames: '[name].chunk.js' })
  await bundle.close()
}

/** Modules find files beside themselves; from a chunk they lie elsewhere. */
function ownAddress(dir) {
  return {
    name: 'own-address',
    transform(code, id) {
      if (!id.startsWith(dist) || !code.includes('import.meta.url')) return null
      const path = relative(dir, id).split(sep).join('/')
      return code.replaceAll('import.meta.url', `new URL(${JSON.stringify(path)}, import.meta.url).href`)
    },
  }
}
