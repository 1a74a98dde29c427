import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Chunk } from './corpus.ts'

/** Python's tiktoken in a process of its own, told by lines of JSON what to encode; it times itself. */
export interface PythonTiktoken {
  load(setup: { ranks: string; pattern: string }): Promise<void>
  encode(chunk: Chunk): Promise<{ wall: number; cpu: number }>
  stop(): void
}

const program = `
import base64, json, sys, time
import tiktoken
encoding = None
for line in sys.stdin:
    order = json.loads(line)
    answer = {}
    if "ranks" in order:
        ranks = {}
        with open(order["ranks"], encoding="utf-8") as file:
            for row in json.load(file)["bpe_ranks"].split("\\n"):
                _, first, *tokens = row.split(" ")
                for index, token in enumerate(tokens):
                    ranks[base64.b64decode(token)] = int(first) + index
        encoding = tiktoken.Encoding("bench", pat_str=order["pattern"], mergeable_ranks=ranks, special_tokens={})
    else:
        wall, cpu = time.perf_counter(), time.process_time()
        for text in order["texts"]:
            encoding.encode_ordinary(text)
        answer = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps(answer), flush=True)
`

/** A Python that has tiktoken: BENCH_PYTHON, else python3; undefined when neither has. */
export async function findTiktoken(): Promise<string | undefined> {
  for (const python of [process.env['BENCH_PYTHON'], 'python3']) {
    if (python === undefined || python === '') continue
    const child = spawn(python, ['-c', 'import tiktoken'], { stdio: 'ignore' })
    const code = await new Promise((resolve) => {
      child.once('error', () => resolve(1))
      child.once('exit', resolve)
    })
    if (code === 0) return python
  }
  return undefined
}

export function startPython(python: string): PythonTiktoken {
  const child: ChildProcess = spawn(python, ['-c', program], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout! })
  const ask = async (order: object): Promise<{ wall: number; cpu: number }> => {
    child.stdin!.write(`${JSON.stringify(order)}\n`)
    const [line] = (await once(lines, 'line')) as [string]
    return JSON.parse(line) as { wall: number; cpu: number }
  }
  return {
    load: async (setup) => void (await ask(setup)),
    encode: ({ texts }) => ask({ texts }),
    stop: () => void child.stdin!.end(),
  }
}
