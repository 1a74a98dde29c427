/** Arguments: <compiled store> <store folder> <file outside>. Prints what the scenario gives. */
import { load, scenario } from './scenario.mjs'

const [compiled, folder, outside] = process.argv.slice(2)
console.log(JSON.stringify(await scenario(await load(compiled), folder, outside)))
