import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

/**
 * Imports go one way. A room may import itself and the rooms named here; `types` marks rooms of which it may only
 * import types.
 */
const rooms: Readonly<
  Record<string, { readonly may: readonly string[]; readonly types?: readonly string[] }>
> = {
  errors: { may: [] },
  memory: { may: [] },
  random: { may: [] },
  bpe: { may: ['errors'] },
  parquet: { may: ['memory', 'errors'] },
  hub: { may: ['errors'] },
  store: { may: ['memory', 'errors'] },
  pipeline: { may: ['errors'], types: ['store'] },
  stages: { may: ['pipeline', 'store', 'hub', 'parquet', 'bpe', 'random', 'memory', 'errors'] },
  recipe: { may: ['output', 'stages', 'pipeline', 'store', 'hub', 'errors'] },
  output: { may: ['stages', 'pipeline', 'store', 'errors', 'bpe'] },
  engine: { may: ['recipe', 'output', 'stages', 'pipeline', 'store', 'hub', 'errors'] },
  tasks: {
    may: ['recipe', 'stages', 'pipeline', 'store', 'hub', 'parquet', 'bpe', 'random', 'errors'],
  },
  workflows: { may: ['pipeline', 'errors'], types: ['activities', 'store'] },
  activities: {
    may: ['workflows', 'engine', 'recipe', 'output', 'stages', 'pipeline', 'store', 'hub', 'errors'],
  },
  workers: { may: ['activities', 'workflows', 'engine', 'stages', 'pipeline', 'store', 'hub', 'errors'] },
  cli: {
    may: [
      'workers',
      'workflows',
      'activities',
      'tasks',
      'engine',
      'recipe',
      'output',
      'stages',
      'pipeline',
      'store',
      'hub',
      'bpe',
      'errors',
    ],
  },
}

/** Rooms that may use no Node built-in: workflows are bundled with them. */
const pure = ['pipeline', 'workflows', 'random']

const root = resolve(import.meta.dirname, '../..')

function filesOf(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name)
    return entry.isDirectory() ? filesOf(path) : /\.ts$/.test(entry.name) ? [path] : []
  })
}

interface Import {
  readonly file: string
  readonly target: string
  readonly typeOnly: boolean
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8')
  const found = [
    ...text.matchAll(
      /^\s*(import|export)(\s+type)?\b[^'"`;]*?from\s+['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)|^import\s+['"]([^'"]+)['"]/gm,
    ),
  ]
  return found.map(([, , type, from, dynamic, bare]) => ({
    file,
    target: (from ?? dynamic ?? bare)!,
    typeOnly: type !== undefined,
  }))
}

const existing = Object.keys(rooms).filter((room) => readdirSync(root).includes(room))

describe.each(existing)('%s', (room) => {
  const imports = filesOf(join(root, room)).flatMap(importsOf)

  test('has imports to look at, or may have none', () => {
    expect(imports.length > 0 || rooms[room]!.may.length === 0).toBe(true)
  })

  test('imports only the rooms below it', () => {
    const { may, types = [] } = rooms[room]!
    const wrong = imports.flatMap(({ file, target, typeOnly }) => {
      if (!target.startsWith('.')) return []
      const other = relative(root, resolve(dirname(file), target)).split('/')[0]!
      if (other === room || may.includes(other) || (typeOnly && types.includes(other))) return []
      return [`${relative(root, file)} imports ${target}`]
    })
    expect(wrong).toEqual([])
  })

  if (pure.includes(room)) {
    test('uses no Node built-in', () => {
      const wrong = imports.filter(({ target, typeOnly }) => target.startsWith('node:') && !typeOnly)
      expect(wrong.map(({ file, target }) => `${relative(root, file)} imports ${target}`)).toEqual([])
    })
  }
})

test('every folder with sources is a room of this list', () => {
  const known = new Set([
    ...Object.keys(rooms),
    'test',
    'bench',
    'scripts',
    'demo',
    'dist',
    'node_modules',
    'docs',
    'recipes',
    'coverage',
  ])
  const folders = readdirSync(root, { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && !entry.name.startsWith('.'),
  )
  expect(
    folders
      .map(({ name }) => name)
      .filter((name) => !known.has(name) && filesOf(join(root, name)).length > 0),
  ).toEqual([])
})
