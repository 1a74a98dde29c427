// Bundles dist/cli/ in place: main.js, which declares the commands, is one file, so that `--help` loads nothing else; the
// commands share a file for each part that is loaded on its own, some ten for a build in place of four hundred.
import { existsSync, readdirSync } from 'node:fs'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { isExternal } from './bundled-packages.mjs'

const dist = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..', 'dist'))
const commands = join(dist, 'cli', 'commands')
const isModule = (name) => name.endsWith('.js') && !name.endsWith('.chunk.js')
await bundleInPlace(
  readdirSync(commands)
    .filter(isModule)
    .map((name) => join(commands, name)),
)
await bundleInPlace([join(dist, 'cli', 'main.js')], [commandsStay()])
// What the benchmark measures is loaded as the command is.
const measured = join(dist, 'bench', 'build', 'child.js')
if (existsSync(measured)) await bundleInPlace([measured])

/** Bundles modules of one folder; what they share, and what they load when they need it, lies in chunks beside them. */
async function bundleInPlace(entries, plugins = []) {
  const dir = dirname(entries[0])
  const bundle = await rolldown({
    input: Object.fromEntries(entries.map((entry) => [basename(entry, '.js'), entry])),
    platform: 'node',
    external: isExternal,
    plugins: [ownAddress(dir), ...plugins],
    logLevel: 'warn',
  })
  await bundle.write({ dir, format: 'esm', entryFileNames: '[name].js', chunkFileNames: '[name].chunk.js' })
  await bundle.close()
}

/** Commands are loaded when they are called; they have been bundled. */
function commandsStay() {
  return {
    name: 'commands-stay',
    resolveId(id) {
      const [, name] = /^\.{1,2}\/commands\/([a-z-]+\.js)$/.exec(id) ?? []
      return name === undefined ? null : { id: `./commands/${name}`, external: true }
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
