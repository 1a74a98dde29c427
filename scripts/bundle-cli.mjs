// Bundles dist/cli/main.js in place, a file for each part that is loaded on its own: `--help` loads three files, and a
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
  const first = new Set()
  const bundle = await rolldown({
    input: { [basename(entry, '.js')]: entry },
    platform: 'node',
    external: isExternal,
    plugins: [ownAddress(dir), loadedFirst(first)],
    logLevel: 'warn',
  })
  await bundle.write({
    dir,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: '[name].chunk.js',
    // What starts with the program is one file, also where others use parts of it.
    codeSplitting: { groups: [{ name: `${basename(entry, '.js')}-first`, test: (id) => first.has(id) }] },
  })
  await bundle.close()
}

/** Collects the modules that the entry imports, and those that they do, and so on. */
function loadedFirst(first) {
  return {
    name: 'loaded-first',
    buildEnd() {
      const entries = [...this.getModuleIds()].filter((id) => this.getModuleInfo(id)?.isEntry)
      for (const waiting = entries; waiting.length > 0; ) {
        for (const id of this.getModuleInfo(waiting.pop())?.importedIds ?? []) {
          if (first.has(id)) continue
          first.add(id)
          waiting.push(id)
        }
      }
    },
  }
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
