// Bundles dist/workflows/ for the workflow isolate, so that a worker starts without a bundler.
import { writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker'

const dist = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..', 'dist'))
const mapStart = '//# sourceMappingURL=data:application/json;charset=utf-8;base64,'

const { code } = await bundleWorkflowCode({
  workflowsPath: join(dist, 'workflows', 'index.js'),
  logger: new DefaultLogger('WARN'),
  webpackConfigHook: (config) => ({
    ...config,
    output: {
      ...config.output,
      devtoolModuleFilenameTemplate: ({ absoluteResourcePath }) => nameOf(absoluteResourcePath),
    },
  }),
})
const [program, map] = code.split(mapStart)
const cleanMap = Buffer.from(withoutPaths(Buffer.from(map, 'base64').toString('utf8')))
writeFileSync(
  join(dist, 'workflows', 'bundle.js'),
  `${withoutPaths(program)}${mapStart}${cleanMap.toString('base64')}`,
)

/** A module's name in stack traces: from its package, or from dist/, on. */
function nameOf(path) {
  const from = Math.max(path.lastIndexOf('/node_modules/'), path.lastIndexOf('/dist/'))
  return `shardmill://${from < 0 ? `/${path.split('/').at(-1)}` : path.slice(from)}`
}

/** The same sources make the same bundle, wherever they lie: a worker's build id is its digest. */
function withoutPaths(text) {
  return text.replaceAll(dist, 'dist').replace(/"file":"workflow-bundle-[0-9a-f]+\.js"/, '"file":"bundle.js"')
}
