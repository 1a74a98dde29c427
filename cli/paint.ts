import picocolors from 'picocolors'

/** Colours for a stream: NO_COLOR, FORCE_COLOR and TERM=dumb are honoured; none where it is no terminal. */
export function paint(stream: NodeJS.WriteStream): ReturnType<typeof picocolors.createColors> {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env
  if (NO_COLOR !== undefined && NO_COLOR !== '') return picocolors.createColors(false)
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '' && FORCE_COLOR !== '0')
    return picocolors.createColors(true)
  return picocolors.createColors(stream.isTTY === true && TERM !== 'dumb')
}
