import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import type { Tiktoken } from 'tiktoken'

/** One vocabulary, as the two tiktokens can be told of it. */
export interface OracleVocabulary {
  readonly name: string
  readonly tiktoken: () => Tiktoken
  /** For Python: npm tiktoken's file of ranks with a pattern, or a pickled Encoding. */
  readonly python: { readonly ranks: string; readonly pattern: string } | { readonly pickle: string }
}

/** What tiktoken says of a list of texts, in each vocabulary. */
export interface Oracle {
  readonly name: string
  /** Per vocabulary: number of ids, and sha256 over the ids of each text behind their number, as little-endian u32. */
  digests(texts: readonly string[]): Promise<{ readonly ids: number; readonly sha256: string }[]>
  /** The ids of one text in the vocabulary at `index`. */
  ids(index: number, text: string): Promise<number[]>
  stop(): void
}

/** tiktoken's WASM build, in this process. */
export function wasmOracle(vocabularies: readonly OracleVocabulary[]): Oracle {
  const encodings = vocabularies.map(({ tiktoken }) => tiktoken())
  return {
    name: 'tiktoken (WASM)',
    digests: async (texts) =>
      encodings.map((encoding) => {
        const hash = createHash('sha256')
        let count = 0
        for (const text of texts) {
          const ids = encoding.encode_ordinary(text)
          hash.update(Uint32Array.of(ids.length)).update(ids)
          count += ids.length
        }
        return { ids: count, sha256: hash.digest('hex') }
      }),
    ids: async (index, text) => Array.from(encodings[index]!.encode_ordinary(text)),
    stop() {
      for (const encoding of encodings) encoding.free()
    },
  }
}

const program = `
import array, base64, hashlib, json, pickle, sys
import tiktoken

def load(order):
    if "pickle" in order:
        with open(order["pickle"], "rb") as file:
            return pickle.load(file)
    ranks = {}
    with open(order["ranks"], encoding="utf-8") as file:
        for row in json.load(file)["bpe_ranks"].split("\\n"):
            _, first, *tokens = row.split(" ")
            for index, token in enumerate(tokens):
                ranks[base64.b64decode(token)] = int(first) + index
    return tiktoken.Encoding("exactness", pat_str=order["pattern"], mergeable_ranks=ranks, special_tokens={})

def digest(encoding, texts):
    sha256, count = hashlib.sha256(), 0
    for text in texts:
        ids = encoding.encode_ordinary(text)
        count += len(ids)
        sha256.update(array.array("I", [len(ids), *ids]).tobytes())
    return {"ids": count, "sha256": sha256.hexdigest()}

encodings = [load(order) for order in json.loads(sys.stdin.readline())]
print(json.dumps(tiktoken.__version__), flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if "text" in order:
        answer = encodings[order["index"]].encode_ordinary(order["text"])
    else:
        answer = [digest(encoding, order["texts"]) for encoding in encodings]
    print(json.dumps(answer), flush=True)
`

/** Python's tiktoken, in a process of its own: faster, and quick on long runs of one character. */
export async function pythonOracle(
  python: string,
  vocabularies: readonly OracleVocabulary[],
): Promise<Oracle> {
  const child: ChildProcess = spawn(python, ['-c', program], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  const ask = async (order: unknown): Promise<unknown> => {
    child.stdin!.write(`${JSON.stringify(order)}\n`)
    const { value, done } = await lines.next()
    if (done === true) throw new Error(`${python} ended; what it said is above`)
    return JSON.parse(value as string)
  }
  const version = await ask(vocabularies.map((vocabulary) => vocabulary.python))
  return {
    name: `Python tiktoken ${String(version)}`,
    digests: (texts) => ask({ texts }) as ReturnType<Oracle['digests']>,
    ids: (index, text) => ask({ index, text }) as ReturnType<Oracle['ids']>,
    stop: () => void child.stdin!.end(),
  }
}
