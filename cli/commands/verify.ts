import { verifyFolder } from '../../output/verify-folder.ts'
import { cleanText } from '../clean-text.ts'
import { bytes, count } from '../format-text.ts'
import { paint } from '../paint.ts'
import type { CommandContext } from '../run.ts'
import { safeJson } from '../safe-json.ts'
import { Ticker } from '../ticker.ts'

export async function verifyCommand(
  context: CommandContext,
  dir: string,
  { json }: { readonly json?: boolean },
): Promise<number> {
  const ticker = new Ticker('verify', context.quiet || json === true)
  const report = await verifyFolder(dir, {
    signal: context.signal,
    onProgress: (done, total) => ticker.show(done, total),
  }).finally(() => ticker.close())
  const { problems, ...figures } = report
  if (json === true)
    process.stdout.write(`${safeJson({ schema: 1, ok: problems.length === 0, ...figures, problems })}\n`)
  else if (problems.length === 0 && !context.quiet)
    process.stdout.write(
      `${dir}: ${paint(process.stdout).green('ok')}: ${count(figures.shards)} shards, ${count(figures.tokens)} tokens, ${bytes(figures.bytes)} read${figures.masks === undefined ? '' : `, masks as template ${cleanText(figures.masks)} has them`}\n`,
    )
  for (const { file, why, stage } of problems) {
    process.stderr.write(
      `${paint(process.stderr).red('error:')} ${cleanText(file)}: ${cleanText(why)}${stage === undefined ? '' : ` (made by stage ${stage})`}\n`,
    )
  }
  if (problems.length > 0) {
    const extra = problems.some(({ isExtra }) => isExtra === true)
    process.stderr.write(
      `hint: ${extra ? 'Move away what is not in the manifest. ' : ''}${
        problems.every(({ isExtra }) => isExtra === true)
          ? 'The other files are what the manifest says.'
          : 'Run the same `shardmill build` again: it writes the folder anew from the store.'
      }\n`,
    )
  }
  return problems.length === 0 ? 0 : 3
}
