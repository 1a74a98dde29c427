/**
 * Which files hold data, by extension, and which one format the files of a dataset have: the table and the vote
 * of `datasets` (packaged_modules and load.py, version 5.2).
 */

/** One line a format; `+` marks those whose upper-case extensions count as well (`.JPG`). */
const FORMATS = `
csv: csv
csv/tab: tsv
json: json jsonl ndjson
parquet: parquet geoparquet gpq
arrow: arrow
text: txt
conll: conll
conll/comments: conllu
webdataset: tar
xml: xml
hdf5: hdf5 h5
eval: eval
harbor: toml md
lance: lance
tsfile: tsfile
vortex: vortex
fasta: fa fasta fna ffn faa frn afa
genbank: gb gbk genbank
fastq: fq fastq
mmcif: cif mmcif
pdb+: pdb ent
imagefolder+: blp bmp dib bufr cur pcx dcx dds ps eps fit fits fli flc ftc ftu gbr gif grib png apng jp2 j2k jpc jpf jpx j2c icns ico im iim tif tiff jfif jpe jpg jpeg msp pcd pxr pbm pgm ppm pnm psd bw rgb rgba sgi ras tga icb vda vst webp wmf emf xbm xpm
audiofolder+: mpg aiff au avr caf flac htk svx mat4 mat5 mpc2k ogg paf pvf raw rf64 sd2 sds ircam voc w64 wav nist wavex wve xi mp3 opus 3gp 3g2 asf flv m4v webm f4v wmv wma ogm mxf nut
videofolder+: mpeg avi mp4 mov mkv
meshfolder+: glb gltf ply stl
pdffolder+: pdf
niftifolder+: nii`

const formatOf = new Map<string, string>()
for (const line of FORMATS.trim().split('\n')) {
  const [name, extensions] = line.split(': ') as [string, string]
  for (const extension of extensions.split(' ')) {
    formatOf.set(extension, name.replace('+', ''))
    if (name.endsWith('+')) formatOf.set(extension.toUpperCase(), name.replace('+', ''))
  }
}

const METADATA_OF_FOLDERS = ['metadata.csv', 'metadata.jsonl', 'metadata.parquet']
const METADATA_FILES: Readonly<Record<string, readonly string[]>> = {
  harbor: ['task.toml', 'instruction.md'],
  lance: ['latest_version_hint.json'],
  ...Object.fromEntries(
    'pdb mmcif imagefolder audiofolder videofolder meshfolder pdffolder niftifolder'
      .split(' ')
      .map((format) => [format, METADATA_OF_FOLDERS]),
  ),
}
const METADATA_NAMES = new Set(Object.values(METADATA_FILES).flat())
const LANCE_SIDE_FILES = ['idx', 'txn', 'manifest']

const ALLOWED = new Set([...formatOf.keys(), 'zip', ...LANCE_SIDE_FILES])
// In a draw the earlier one wins, and all of these win over the rest.
const FAVOURITES = ['parquet', 'lance', 'vortex', 'arrow', 'jsonl', 'json', 'csv']

/** True for a file that can hold data: some extension of it (`a.jsonl.gz` has two) is of a known format. */
export function hasDataExtension(path: string): boolean {
  return extensions(path).some((extension) => ALLOWED.has(extension))
}

/**
 * The format of a list of files: that of the most frequent extension with a known format (metadata files count
 * only among themselves). `'zip'` for archives, whose content decides in Python; undefined when there is none.
 */
export function voteFormat(files: readonly string[]): string | undefined {
  const votes = new Map<string, { extension: string; metadata: boolean; count: number }>()
  for (const file of files) {
    const metadata = METADATA_NAMES.has(baseName(file))
    for (const extension of extensions(file).map((text) => text.toLowerCase())) {
      const key = `${extension}\n${metadata}`
      const vote = votes.get(key)
      if (vote) vote.count++
      else votes.set(key, { extension, metadata, count: 1 })
    }
  }
  const ranked = [...votes.values()].sort(
    (a, b) =>
      Number(a.metadata) - Number(b.metadata) ||
      b.count - a.count ||
      favour(b.extension) - favour(a.extension) ||
      compareCodePoints(b.extension, a.extension),
  )
  for (const { extension } of ranked) {
    const format = extension === 'zip' ? 'zip' : formatOf.get(extension)
    if (format !== undefined) return format
  }
  return undefined
}

/** Of `files`, those that a reader of `format` takes. */
export function ofFormat(files: readonly string[], format: string): string[] {
  const name = format.split('/')[0]!
  const taken = [...formatOf]
    .filter(([, other]) => other.split('/')[0] === name)
    .map(([extension]) => extension)
  if (name === 'lance') taken.push(...LANCE_SIDE_FILES)
  const byExtension = new RegExp(`\\.(?:${[...taken, 'zip'].join('|')})(?:\\..+)?$`)
  const byName = METADATA_FILES[name] ?? []
  return files.filter((file) => byExtension.test(file) || byName.some((end) => file.endsWith(end)))
}

/** Python's order of strings: by code point, where JavaScript compares UTF-16 units. */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x === y) continue
    // Surrogates stand for code points above all others, though U+E000–U+FFFF have the larger unit.
    const xHigh = x >= 0xd800 && x < 0xe000
    const yHigh = y >= 0xd800 && y < 0xe000
    return xHigh === yHigh ? x - y : xHigh ? 1 : -1
  }
  return a.length - b.length
}

/** Those of `sorted` (by code point) that begin with `start`. */
export function startingWith(sorted: readonly string[], start: string): readonly string[] {
  if (start === '') return sorted
  const firstThat = (from: number, isPast: (path: string) => boolean) => {
    let [low, high] = [from, sorted.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (isPast(sorted[middle]!)) high = middle
      else low = middle + 1
    }
    return low
  }
  const first = firstThat(0, (path) => compareCodePoints(path, start) >= 0)
  return sorted.slice(
    first,
    firstThat(first, (path) => !path.startsWith(start)),
  )
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

function extensions(path: string): string[] {
  return baseName(path).split('.').slice(1)
}

function favour(extension: string): number {
  const place = FAVOURITES.indexOf(extension)
  return place < 0 ? 0 : FAVOURITES.length - place
}
