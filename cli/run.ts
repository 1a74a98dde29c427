/** What every command needs: global options, one way to end, one way to fail. */
import type { Command } from 'commander'
import { type ErrorCode, isShardmillError, ShardmillError } from '../errors/index.ts'
import { cleanText } from './clean-text.ts'
import { paint } from './paint.ts'
import { safeJson } from './safe-json.ts'

export interface GlobalOptions {
  readonly quiet: boolean
  readonly verbose: boolean
}

export interface CommandContext extends GlobalOptions {
  /** Aborted by the first Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal
}

const exitCodes: Readonly<Partial<Record<ErrorCode, number>>> = {
  USAGE: 2,
  RECIPE: 2,
  VERIFY: 3,
  LOCKED: 4,
  HUB_UNREACHABLE: 5,
  TEMPORAL: 5,
  ENDPOINT_UNREACHABLE: 5,
  INTERRUPTED: 130,
}

export function exitCodeOf(code: ErrorCode): number {
  return exitCodes[code] ?? 1
}

/**
 * A reader that goes away (`| head`) is no failure; a result that cannot be written (a full disk) is one. Nor does work
 * stop because its progress cannot be shown.
 */
export function watchOutput(): void {
  process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE') process.exit(process.exitCode ?? 0)
    process.stderr.write(
      `error: what was to be printed cannot be written (${code})\nhint: Look at where stdout goes; what was built is kept.\n`,
    )
    process.exit(1)
  })
  process.stderr.on('error', () => {})
}

/** What commander refuses is usage; it has told stderr itself. Returns the exit code. */
export function failUsage(message: string, args: readonly string[]): number {
  if (args.includes('--json')) {
    const error = { code: 'USAGE', message: message.replace(/^error: /, ''), retryable: false }
    process.stdout.write(`${safeJson({ schema: 1, error })}\n`)
  }
  return 2
}

/** Wraps a command's action: signals, errors, exit codes. A number it returns is the exit code. */
export function run<Args extends unknown[]>(
  action: (context: CommandContext, ...args: Args) => Promise<unknown>,
) {
  return async (...args: unknown[]): Promise<void> => {
    const command = args.at(-1) as Command
    const options = command.optsWithGlobals() as { quiet?: boolean; verbose?: boolean; json?: boolean }
    const stop = new AbortController()
    const onSignal = () => {
      if (stop.signal.aborted) process.exit(130)
      stop.abort(new ShardmillError('INTERRUPTED', 'interrupted'))
    }
    process.on('SIGINT', onSignal)
    process.on('SIGTERM', onSignal)
    const context: CommandContext = {
      quiet: options.quiet === true,
      verbose: options.verbose === true,
      signal: stop.signal,
    }
    try {
      const code = await action(context, ...(args.slice(0, -1) as Args))
      process.exitCode = typeof code === 'number' ? code : 0
    } catch (error) {
      fail(error, options.json === true, context)
    } finally {
      process.off('SIGINT', onSignal)
      process.off('SIGTERM', onSignal)
    }
  }
}

function fail(error: unknown, json: boolean, { verbose, signal }: CommandContext): void {
  const shown =
    signal.aborted && !isShardmillError(error, 'INTERRUPTED')
      ? new ShardmillError('INTERRUPTED', 'interrupted')
      : error
  if (isShardmillError(shown)) {
    process.exitCode = exitCodeOf(shown.code)
    if (json)
      process.stdout.write(
        `${safeJson({ schema: 1, error: { ...shown.toFacts(), message: shown.message } })}\n`,
      )
    const color = paint(process.stderr)
    process.stderr.write(
      `${shown.code === 'INTERRUPTED' ? shown.message : `${color.red('error:')} ${cleanText(shown.message)}`}\n`,
    )
    if (shown.hint !== undefined) process.stderr.write(`${color.dim('hint:')} ${cleanText(shown.hint)}\n`)
    if (verbose && shown.stack !== undefined) process.stderr.write(`${shown.stack}\n`)
    return
  }
  process.exitCode = 1
  const { message, stack } = shown instanceof Error ? shown : new Error(String(shown))
  if (json)
    process.stdout.write(`${safeJson({ schema: 1, error: { code: 'BUG', message, retryable: false } })}\n`)
  process.stderr.write(
    `error: ${cleanText(message)}\nThis is a mistake in shardmill; please report it with what follows.\n${stack ?? ''}\n`,
  )
}
