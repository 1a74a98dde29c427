/** Figures as people read them. Fixed to one locale, so that no machine prints them differently. */
export function count(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',')
}

export function short(value: number): string {
  if (value < 1000) return String(Math.round(value))
  const units = ['', 'K', 'M', 'G', 'T']
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : value.toFixed(0)}${units[unit]}`
}

export function bytes(value: number): string {
  return value < 1000 ? `${Math.round(value)} B` : `${short(value)}B`
}

export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  seconds = Math.round(seconds)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  const rest = seconds - minutes * 60
  if (minutes < 60) return `${minutes}:${String(rest).padStart(2, '0')} min`
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, '0')} h`
}

/** Columns aligned: the first to the left, the rest to the right; a row is a line, whatever its cells hold. */
export function table(cells: readonly (readonly string[])[], indent = '  '): string {
  const rows = cells.map((row) => row.map((cell) => cell.replace(/[\n\t]/g, ' ')))
  const widths: number[] = []
  for (const row of rows)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length)
    })
  return rows
    .map((row) =>
      `${indent}${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')}`.trimEnd(),
    )
    .join('\n')
}
