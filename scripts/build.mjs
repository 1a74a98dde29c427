// Compiles the TypeScript sources into dist/ and bundles the workflows, the worker threads' code and the command line. Runs on `npm ci` (prepare) and before the tests.
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')
rmSync(join(root, 'dist'), { recursive: true, force: true })
const done = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit' })
if (done.status !== 0) process.exit(done.status ?? 1)
await import('./bundle-worker.mjs')
await import('./bundle-cli.mjs')
await import('./bundle-workflows.mjs')
