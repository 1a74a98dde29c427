/** Packages of many small files; the others bring WebAssembly or data that lie beside their code. */
const bundled =
  /^(commander|picocolors|yaml|picomatch|zod|hyparquet|hyparquet-writer|@huggingface\/jinja|fastest-levenshtein|@noble\/hashes)(\/|$)/

/** For rolldown: all packages but those. */
export function isExternal(id) {
  return !id.startsWith('.') && !id.startsWith('/') && !/^[A-Za-z]:/.test(id) && !bundled.test(id)
}
