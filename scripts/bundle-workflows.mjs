// Bundles dist/workflows/ for the workflow isolate, so that a worker starts without a bundler.
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker'

const dist = process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..', 'dist')
const { code } = await bundleWorkflowCode({
  workflowsPath: join(dist, 'workflows', 'index.js'),
  logger: new DefaultLogger('WARN'),
  // Machine paths have no place in what is published.
  webpackConfigHook: (config) => ({ ...config, devtool: false }),
})
writeFileSync(join(dist, 'workflows', 'bundle.js'), code)
