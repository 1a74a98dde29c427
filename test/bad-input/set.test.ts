/** --set, and recipes on the command line: one error with its exit code, and mistakes laid to where they were made. */
import { mkdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { SftRecipe } from '../../recipe/kinds/sft.ts'
import { parseRecipe } from '../../recipe/parse.ts'
import { change, good, refusal } from './recipes.ts'
import { expectRefusal, goodLines, Lab, shardmill } from './support.ts'

describe('--set', () => {
  const cases: [setting: string, code: string, message: string][] = [
    ['foo', 'USAGE', '--set foo: has no path=value'],
    ['=3', 'USAGE', '--set =3: has no path=value'],
    ['...=1', 'USAGE', '--set ...=1: has no path'],
    ['name=[', 'USAGE', '--set name=[: the value is not YAML'],
    ['name=*a', 'USAGE', '--set name=*a: the value is not YAML'],
    ['name.x=1', 'USAGE', '--set name.x=1: name is "t", which has no fields'],
    ['__proto__.x=1', 'USAGE', '--set __proto__.x=1: has no path'],
    ['constructor.prototype.x=1', 'USAGE', '--set constructor.prototype.x=1: has no path'],
    [
      'splits.train[3].stop=1',
      'USAGE',
      '--set splits.train[3].stop=1: splits.train has one entry, [0], and no [3]',
    ],
    ['splits.train[1]=3', 'USAGE', '--set splits.train[1]=3: splits.train has one entry, [0], and no [1]'],
    [
      'splits.train[-1].stop=1',
      'USAGE',
      '--set splits.train[-1].stop=1: an index is a whole number in brackets, counted from 0',
    ],
    [
      'splits.train.length=5',
      'USAGE',
      '--set splits.train.length=5: splits.train has one entry, [0], and no length',
    ],
    ['maxSeqlen=3', 'RECIPE', 'r.yaml: maxSeqlen: unknown field; did you mean `maxSeqLen`? (from --set)'],
    [
      'maxSeqLen=abc',
      'RECIPE',
      'r.yaml: maxSeqLen: is "abc", expected a whole number from 1 to 2147483647 (from --set)',
    ],
    [
      'maxSeqLen=',
      'RECIPE',
      'r.yaml: maxSeqLen: is empty (null), expected a whole number from 1 to 2147483647 (from --set)',
    ],
    [
      'splits.train[0].stpo=1',
      'RECIPE',
      'r.yaml: splits.train[0].stpo: unknown field; did you mean `stop`? (from --set)',
    ],
    ['toString.x=1', 'RECIPE', 'r.yaml: toString: unknown field (from --set)'],
    [
      'splits.trian[0].repeat=4',
      'USAGE',
      '--set splits.trian[0].repeat=4: splits has no trian; did you mean `train`?',
    ],
    ['split[0]=4', 'USAGE', '--set split[0]=4: the recipe has no split; did you mean `splits`?'],
    ['splits.test[0]=4', 'USAGE', '--set splits.test[0]=4: splits has no test'],
    ['name[]=x', 'USAGE', '--set name[]=x: an index is a whole number in brackets, counted from 0'],
    [
      'shuffle.seed=43',
      'RECIPE',
      'r.yaml: shuffle.kind: is missing, expected one of python, numpy, seedrandom, none (from --set)',
    ],
    [
      'splits=null',
      'RECIPE',
      'r.yaml: splits: is empty (null), expected a mapping with the fields val, train (from --set)',
    ],
  ]
  test.each(cases)('%s', (setting, code, message) => {
    const error = refusal(good, [setting])
    expect(error.message).toBe(message)
    expect(error.code).toBe(code)
    if (code === 'USAGE') expect(error.hint).toContain('--set path=value')
    expect(({} as Record<string, unknown>)['x']).toBe(undefined)
  })

  test('what it has made lacks the rest, and the hint says so', () => {
    expect(refusal(good, ['shuffle.seed=43']).hint).toBe(
      'The recipe has no shuffle: --set made it, with nothing but what it was given.',
    )
    const wrong = refusal(good, ['shuffle.seed=43', 'shuffle.kind=numpi'])
    expect(wrong.message).toMatch(/^r\.yaml: shuffle\.kind: is "numpi", .+ \(from --set\)$/)
    expect(wrong.hint).toBe(undefined)
    const { shuffle } = parseRecipe(good, 'r.yaml', ['shuffle.kind=python', 'shuffle.seed=43']) as SftRecipe
    expect(shuffle).toEqual({ kind: 'python', seed: 43 })
  })

  test('a mistake elsewhere is not laid to it', () => {
    expect(refusal(change('maxSeqLen: 64', 'maxSeqLen: 0'), ['name=x']).message).toBe(
      'r.yaml, line 5: maxSeqLen: is 0, expected a whole number from 1 to 2147483647',
    )
  })
})

describe.concurrent('on the command line', () => {
  const build = (lab: Lab, ...args: string[]) =>
    shardmill(['build', ...args, '--store', 'store'], { cwd: lab.dir })

  test('no recipe there, or a folder', async () => {
    const lab = new Lab()
    mkdirSync(lab.path('folder'))
    expectRefusal(await build(lab, 'nope.yaml', '--out', 'out', '--json'), {
      exit: 2,
      code: 'RECIPE',
      says: 'nope.yaml: there is no such file',
      hint: true,
    })
    expectRefusal(await build(lab, 'folder', '--out', 'out', '--json'), {
      exit: 2,
      code: 'RECIPE',
      says: 'folder: is a folder, expected a YAML file',
      hint: true,
    })
    lab.expectNothingPublished()
  })

  test('a wrong recipe', async () => {
    const lab = new Lab()
    const error = await lab.refuses(
      change('maxSeqLen', 'maxSeqlen'),
      {
        exit: 2,
        code: 'RECIPE',
        says: 'recipe.yaml, line 5: maxSeqlen: unknown field; did you mean `maxSeqLen`?',
        hint: 'Fields here',
      },
      { child: true },
    )
    expect(error.at).toEqual({ file: 'recipe.yaml', line: 5 })
    // What the recipe says wrongly is shown, but does nothing to the terminal.
    await lab.refuses(
      change('template: nanochat', 'template: "\\e[2J\\a"'),
      { exit: 2, code: 'RECIPE', says: 'template: is "\\u001b[2J\\u0007"' },
      { child: true },
    )
    await lab.refuses(
      `${good}"\\e]0;title\\a": 1\n`,
      { exit: 2, code: 'RECIPE', says: 'line 10: \\u001b]0;title\\u0007: unknown field' },
      { child: true },
    )
    // Oddities of YAML bring no warnings of their own.
    await lab.refuses(
      `${good}? {a: 1}\n: x\n`,
      { exit: 2, code: 'RECIPE', says: '{ a: 1 }: unknown field' },
      { child: true },
    )
  })

  test('--set, twice', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', goodLines)
    await lab.refuses(
      good,
      { exit: 2, code: 'USAGE', says: '--set nonsense: has no path=value', hint: '--set path=value' },
      { args: ['--set', 'name=x', '--set', 'nonsense'] },
    )
    const report = await lab.builds(good, {
      args: ['--set', 'splits.train[0].repeat=3', '--set', 'splits.train[0].stop=1'],
    })
    expect(report.splits.train.conversations).toBe(3)
  })
})
