import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { type ErrorCode, isShardmillError } from '../../errors/index.ts'
import { compareCodePoints, type DataConfig, findDataFiles, readCard } from '../../hub/data-files.ts'

/** What `datasets` 5.2 made of a folder with these files and this README (`error`: it refused). */
interface Case {
  readonly name?: string
  readonly files: readonly string[]
  readonly readme?: string
  readonly expected:
    | { readonly error: ErrorCode }
    | { readonly configs: readonly (Omit<DataConfig, 'problem'> & { readonly problem?: true })[] }
}

function cases(file: string): Case[] {
  return JSON.parse(readFileSync(new URL(`../fixtures/hub-data-files/${file}`, import.meta.url), 'utf8'))
}

function outcome({ files, readme }: Case): Case['expected'] {
  try {
    const { configs } = findDataFiles(files, readme)
    return {
      configs: configs.map(({ problem, ...rest }) => ({ ...rest, ...(problem ? { problem: true } : {}) })),
    }
  } catch (error) {
    if (!isShardmillError(error)) throw error
    return { error: error.code }
  }
}

describe('configs, splits and files are those of the datasets library', () => {
  test.each(cases('by-hand.json').map((one) => [one.name!, one] as const))('%s', (_, one) => {
    expect(outcome(one)).toEqual(one.expected)
  })

  test('in cases made at random', () => {
    const all = cases('random.json')
    expect(all.length).toBeGreaterThan(150)
    for (const one of all) expect(outcome(one), JSON.stringify(one)).toEqual(one.expected)
  })

  test('whatever the order of the list', () => {
    for (const one of cases('random.json')) {
      expect(outcome({ ...one, files: [...one.files].reverse() })).toEqual(outcome(one))
    }
  })
})

describe('a README that makes no sense', () => {
  const refused = (yaml: string, files = ['a.csv']) => {
    try {
      findDataFiles(files, `---\n${yaml}\n---\n`)
    } catch (error) {
      if (isShardmillError(error)) return error
    }
    throw new Error('accepted')
  }

  test('is named, with what is wrong and what to do', () => {
    const error = refused('configs:\n- config_name: x\n  data_files: {train: a.csv}')
    expect(error.code).toBe('BAD_FILE')
    expect(error.message).toBe(
      'README.md: `data_files` of config "x" should be a text or a list, but is a mapping',
    )
    expect(error.hint).toContain('{split, path}')
  })

  test.each(['../a.csv', 'x/../../a.csv', '/etc/passwd', 'https://example.com/a.csv', 'zip://*.csv::a.zip'])(
    'may not lead out of the dataset: %s',
    (path) => {
      const error = refused(`configs:\n- config_name: x\n  data_files: "${path}"`)
      expect(error.code).toBe('BAD_FILE')
      expect(error.message).toContain('leads out of the dataset')
    },
  )

  test('may not lead out by data_dir', () => {
    expect(refused('configs:\n- config_name: x\n  data_dir: ../y').message).toContain('leads out')
  })

  test('may not blow up by aliases', () => {
    const levels = 'abcdefghi'.split('')
    const lines = levels.map((name, i) => {
      const before = i === 0 ? 'x' : `*${levels[i - 1]}`
      return `${name}: &${name} [${Array(9).fill(before).join(',')}]`
    })
    expect(refused(lines.join('\n')).code).toBe('BAD_FILE')
  })

  test('has its place in the header told', () => {
    expect(refused('a: [1').message).toMatch(/^README\.md: its YAML header cannot be parsed: .*line/)
  })
})

test('the files that are missing are named when no config can be loaded', () => {
  const readme = '---\nconfigs:\n- config_name: x\n  data_files: gone.csv\n---\n'
  expect(() => findDataFiles(['a.csv'], readme)).toThrow(/config "x", split "train".*"gone\.csv".*missing/)
})

test('a broken config tells why, and has no splits', () => {
  const readme =
    '---\nconfigs:\n- config_name: x\n  data_files: gone.csv\n- config_name: y\n  data_files: a.csv\n---\n'
  const [x, y] = findDataFiles(['a.csv'], readme).configs
  expect(x).toMatchObject({ name: 'x', splits: [], problem: expect.stringContaining('gone.csv') })
  expect(y).toEqual({ name: 'y', default: false, splits: [{ name: 'train', files: ['a.csv'] }] })
})

test('a pattern that backtracks without end in a regular expression is no trouble', () => {
  const files = ['a'.repeat(3000), `${'a'.repeat(3000)}b.csv`, `${'a/'.repeat(1500)}b.csv`]
  for (const pattern of [
    '*a'.repeat(1000),
    `${'**/'.repeat(1000)}*c`,
    `${'**/*a/'.repeat(600)}**`,
    '[!b]*'.repeat(800),
  ]) {
    const readme = `---\nconfigs:\n- config_name: x\n  data_files: ["${pattern}", "*b.csv"]\n---\n`
    expect(findDataFiles(files, readme).configs[0]!.splits[0]!.files).toContain(files[1])
  }
  expect(refusedPath('*'.repeat(5000))).toBe('BAD_FILE')

  function refusedPath(path: string): string | undefined {
    try {
      findDataFiles(files, `---\nconfigs:\n- config_name: x\n  data_files: "${path}"\n---\n`)
    } catch (error) {
      if (isShardmillError(error)) return error.code
    }
    return undefined
  }
})

test('5,000 `**/` are as fast as one and mean the same, and others are not followed further than a path is long', () => {
  const files = Array.from({ length: 20_000 }, (_, i) => `data/en/train-${i}.parquet`)
  const found = (pattern: string) => {
    const readme = `---\nconfigs:\n- config_name: x\n  data_files: "${pattern}"\n---\n`
    return findDataFiles(files, readme).configs[0]!.splits[0]!.files
  }
  const startedAt = performance.now()
  expect(found(`${'**/'.repeat(5000)}*-7.parquet`)).toEqual(['data/en/train-7.parquet'])
  expect(found(`data/${'**/./'.repeat(5000)}**`)).toHaveLength(20_000)
  expect(found(`${'**/*/'.repeat(800)}*.parquet`)).toEqual([])
  // Less than a second; where each step of a pattern is tried on each path, a minute.
  expect(performance.now() - startedAt).toBeLessThan(20_000)
})

test('100,000 files are sorted out', () => {
  const files = Array.from({ length: 100_000 }, (_, i) => `d${i % 100}/part-${i}.parquet`)
  const [config] = findDataFiles(files, undefined).configs
  expect(config!.splits).toHaveLength(1)
  expect(config!.splits[0]!.files).toHaveLength(100_000)
})

test('20,000 files in as many splits, with and without a card', () => {
  const names = Array.from({ length: 20_000 }, (_, i) => `s${i}`)
  const files = names.map((name) => `data/${name}-00000-of-00001.parquet`)
  const splits = [...names].sort(compareCodePoints).map((name) => ({
    name,
    files: [`data/${name}-00000-of-00001.parquet`],
  }))
  expect(findDataFiles(files, undefined).configs[0]!.splits).toEqual(splits)
  const listed = names.map((name) => `  - {split: ${name}, path: data/${name}-*}\n`)
  const readme = `---\nconfigs:\n- config_name: x\n  data_files:\n${listed.join('')}---\n`
  const { configs } = findDataFiles(files, readme)
  expect(configs[0]!.splits.slice().sort((a, b) => compareCodePoints(a.name, b.name))).toEqual(splits)
})

test('strings compare by code point', () => {
  const sorted = ['\u{1f600}', '\uff5e', 'b', 'a\u{1f600}', 'a', '', '\ud7ff', '\ue000']
  expect(sorted.sort(compareCodePoints)).toEqual([
    '',
    'a',
    'a\u{1f600}',
    'b',
    '\ud7ff',
    '\ue000',
    '\uff5e',
    '\u{1f600}',
  ])
})

test('a card is read as PyYAML reads it', () => {
  expect(readCard('---\na: no\nb: 0o7\nc: 012\nd: "é"\n---\n')).toEqual({ a: false, b: '0o7', c: 10, d: 'é' })
  // As PyYAML, where YAML 1.1 itself says otherwise.
  expect(readCard('---\na: [y, n, 1e3, 08, 1.5e+3]\n---\n')).toEqual({ a: ['y', 'n', '1e3', '08', 1500] })
  expect(readCard('# no header')).toEqual({})
  expect(readCard(undefined)).toEqual({})
})
