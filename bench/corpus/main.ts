/** Makes a corpus by itself: node dist/bench/corpus/main.js DIR [SCALE] */
import { availableParallelism } from 'node:os'
import { makeCorpus } from './index.ts'

const [dir, scale = '0.01'] = process.argv.slice(2)
if (dir === undefined) throw new Error('usage: node dist/bench/corpus/main.js DIR [SCALE]')
const started = performance.now()
const corpus = await makeCorpus(dir, Number(scale), availableParallelism())
console.log(JSON.stringify({ ...corpus, seconds: (performance.now() - started) / 1000 }, null, 1))
