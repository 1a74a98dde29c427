/** Recipes: whatever is wrong with one is said with its line, the field, what was expected and the nearest right name. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseRecipe } from '../../recipe/parse.ts'
import { recipeJsonSchema } from '../../recipe/schema.ts'
import { outputFormats } from '../../stages/outputs/index.ts'
import { sources } from '../../stages/sources/index.ts'
import { change, good, refusal } from './recipes.ts'
import { customJson, goodLines, Lab, recipeOf, shardmill } from './support.ts'

const templateChoice =
  'one of model, nanochat, chatml, user_assistant or a mapping with the fields jinja, config, variables'
const formats = outputFormats.map(({ name }) => name)
const source = (text: string) => change('custom_json, path: a.jsonl', text)

test('the recipe that is spoilt below is good', () => {
  expect(parseRecipe(good, 'r.yaml')).toMatchObject({ splits: { train: [{}] } })
})

describe('is not a recipe', () => {
  const notMapping = 'is empty or not a mapping; a recipe begins with `kind: sft`'
  const cases: [name: string, text: string, message: string][] = [
    ['empty', '', `r.yaml: ${notMapping}`],
    ['a comment', '# hi\n', `r.yaml: ${notMapping}`],
    ['a word', 'hello', `r.yaml: ${notMapping}`],
    ['a list', '- a\n- b\n', `r.yaml: ${notMapping}`],
    ['control codes', '\0\x01\u001b[31m', `r.yaml: ${notMapping}`],
    ['a tab', 'kind: sft\n\tname: t\n', 'r.yaml, line 2: is not YAML: Tabs are not allowed as indentation'],
    ['a field twice', `${good}name: u\n`, 'r.yaml, line 10: the field `name` stands there twice'],
    [
      'a nested field twice',
      change('path: a.jsonl', 'path: a.jsonl, path: b'),
      'r.yaml, line 9: the field `path` stands there twice',
    ],
    [
      'two documents',
      `${good}---\n${good}`,
      'r.yaml, line 10: holds several documents (a line `---`), expected one',
    ],
    ['not UTF-8', change('name: t', 'name: \ufffd'), 'r.yaml, line 2: is not UTF-8 text'],
    [
      'a tag that is not known',
      change('name: t', 'name: !!js/function t'),
      'r.yaml, line 2: is not YAML: Unresolved tag: tag:yaml.org,2002:js/function',
    ],
    [
      'an alias without anchor',
      `${good}x: *nope\n`,
      'r.yaml: is not usable YAML: Unresolved alias (the anchor must be set before the alias): nope',
    ],
    ['brackets without end', '['.repeat(20_000), 'r.yaml: is nested too deeply'],
    ['deep mappings', `a: ${'{a: '.repeat(5000)}1${'}'.repeat(5000)}`, 'r.yaml: is nested too deeply'],
    [
      '10 MB',
      `${good}#${'x'.repeat(1e7)}`,
      'r.yaml: is 10000175 characters long, expected a recipe (at most 1048576)',
    ],
    [
      'aliases of aliases',
      `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdefghi'].map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefghi'[i]}`).join(',')}]`).join('\n')}\n`,
      'r.yaml: is not usable YAML: Excessive alias count indicates a resource exhaustion attack',
    ],
  ]
  test.each(cases)('%s', (_name, text, message) => {
    const error = refusal(text)
    expect(error.code).toBe('RECIPE')
    expect(error.message).toBe(message)
  })
})

describe('has a field that is unknown', () => {
  const cases: [text: string, message: string, fields: string][] = [
    [
      change('maxSeqLen', 'maxSeqlen'),
      'line 5: maxSeqlen: unknown field; did you mean `maxSeqLen`?',
      'kind, name, tokenizer',
    ],
    [
      change('maxSeqLen', 'max_seq_len'),
      'line 5: max_seq_len: unknown field; did you mean `maxSeqLen`?',
      'shardTokens',
    ],
    [`${good}zzz: 1\n`, 'line 10: zzz: unknown field', 'onBadRow'],
    [`${good}3: 1\n`, 'line 10: 3: unknown field', 'onBadRow'],
    [`${good}? \n: 1\n`, 'line 10: "": unknown field', 'onBadRow'],
    [`${good}__proto__: {a: 1}\n`, 'line 10: __proto__: unknown field', 'onBadRow'],
    [
      change('encoding: gpt2', 'encoding: gpt2, encodng: 1'),
      'line 3: tokenizer.encodng: unknown field; did you mean `encoding`?',
      'kind, encoding.',
    ],
    [
      change('kind: tiktoken', 'kind: nanochat'),
      'line 3: tokenizer.encoding: unknown field',
      'kind, path, repo, file, revision',
    ],
    [
      change('path: a.jsonl', 'path: a.jsonl, optionl: true'),
      'line 9: splits.train[0].optionl: unknown field; did you mean `optional`?',
      'task, path, optional, label, start, stop, step, repeat',
    ],
    [
      source('simple_spelling, size: 3, words: { repo: x, fil: y }'),
      'line 9: splits.train[0].words.fil: unknown field; did you mean `file`?',
      'repo, file, revision.',
    ],
    [`${good}shuffle: { kind: none, seed: 4 }\n`, 'line 10: shuffle.seed: unknown field', 'kind.'],
  ]
  test.each(cases)('%#', (text, message, fields) => {
    const error = refusal(text)
    expect(error.message).toBe(`r.yaml, ${message}`)
    expect(error.hint).toMatch(/^Fields here: /)
    expect(error.hint).toContain(fields)
  })
})

describe('has names that every JavaScript object knows', () => {
  test.each([
    ['  __proto__:\n    - { task: custom_json, path: a.jsonl }\n', 'line 10: splits.__proto__: is no name'],
    [
      '    - { task: messages, path: b.jsonl, roles: { __proto__: user } }\n',
      'line 10: splits.train[1].roles.__proto__: is no name',
    ],
  ])('%#', (more, message) => {
    expect(refusal(good + more)).toMatchObject({ code: 'RECIPE', message: `r.yaml, ${message}` })
  })

  test('the only split, too', () => {
    const message = 'r.yaml, line 8: splits.__proto__: is no name'
    expect(refusal(change('train:', '__proto__:'))).toMatchObject({ code: 'RECIPE', message })
  })

  test('splits and labels are counted by them', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', goodLines)
    const names = ['constructor', 'toString', '__proto__', 'toString']
    const train = names.map((label) => ({ ...customJson, label }))
    const { splits } = recipeOf(train) as { splits: object }
    const built = await lab.build(recipeOf(train, { splits: { ...splits, constructor: [customJson] } }))
    expect(built, built.stderr).toMatchObject({ code: 0 })
    const config = JSON.parse(readFileSync(join(lab.out, 'config.json'), 'utf8')) as Record<string, object>
    expect(Object.entries(config['train_source_counts']!)).toEqual([
      ['constructor', 2],
      ['toString', 4],
      ['__proto__', 2],
    ])
    expect(config['constructor_source_counts']).toEqual({ CustomJSON: 2 })
  })

  test('labels that are whole numbers stay in the recipe’s order', async () => {
    const lab = new Lab()
    lab.write('a.jsonl', goodLines)
    const built = await lab.build(recipeOf(['zeta', '10', '2'].map((label) => ({ ...customJson, label }))))
    expect(built, built.stderr).toMatchObject({ code: 0 })
    expect(readFileSync(join(lab.out, 'config.json'), 'utf8')).toContain(
      '"train_source_counts": {\n    "zeta": 2,\n    "10": 2,\n    "2": 2\n  }',
    )
    expect(await shardmill(['verify', lab.out])).toMatchObject({ code: 0 })
  })
})

describe('has a value that is wrong', () => {
  const names = sources.map(({ task }) => task)
  const { oneOf: recipes } = recipeJsonSchema() as {
    oneOf: {
      properties: {
        kind: { const: string }
        tokenizer: { oneOf: { properties: { kind: { const: string } } }[] }
      }
    }[]
  }
  const { tokenizer } = recipes[0]!.properties
  const recipeKinds = `one of ${recipes.map(({ properties }) => properties.kind.const).join(', ')}`
  const kinds = tokenizer.oneOf.map(({ properties }) => properties.kind.const)
  const tasks = `one of ${names.join(', ')}`
  const whole = 'expected a whole number from 1 to 2147483647'
  const cases: [text: string, message: string][] = [
    ...(
      [
        ['0', '0'],
        ['-1', '-1'],
        ['1.5', '1.5'],
        ['1e99', '1e+99'],
        ['2147483648', '2147483648'],
        ['"64"', '"64"'],
        ['10k', '"10k"'],
        ['1_000', '"1_000"'],
        ['true', 'true'],
        ['', 'empty (null)'],
        ['.nan', 'NaN'],
        ['.inf', 'Infinity'],
        ['[1]', 'a list'],
        ['{}', 'a mapping'],
      ] as const
    ).flatMap(([text, shown]): [string, string][] => [
      [change('maxSeqLen: 64', `maxSeqLen: ${text}`), `line 5: maxSeqLen: is ${shown}, ${whole}`],
      [change('shardTokens: 100', `shardTokens: ${text}`), `line 6: shardTokens: is ${shown}, ${whole}`],
    ]),
    [change('kind: sft\n', ''), `line 1: kind: is missing, expected ${recipeKinds}`],
    [change('kind: sft', 'kind: pretrain'), `line 1: kind: is "pretrain", expected ${recipeKinds}`],
    [
      change('name: t', 'name: ../x'),
      'line 2: name: is "../x", must be letters, digits, ".", "_" and "-", beginning with a letter or digit',
    ],
    [
      change('name: t', `name: ${'-'.repeat(100_000)}`),
      `line 2: name: is "${'-'.repeat(57)}...", must be letters, digits, ".", "_" and "-", beginning with a letter or digit`,
    ],
    [
      change('template: nanochat', 'template: nanchat'),
      `line 4: template: is "nanchat", expected ${templateChoice}; did you mean \`nanochat\`?`,
    ],
    [change('template: nanochat\n', ''), `line 1: template: is missing, expected ${templateChoice}`],
    [
      change('kind: tiktoken', 'kind: tiktokn'),
      `line 3: tokenizer.kind: is "tiktokn", expected one of ${kinds.join(', ')}; did you mean \`tiktoken\`?`,
    ],
    [
      change('{ kind: tiktoken, encoding: gpt2 }', 'gpt2'),
      `line 3: tokenizer: is "gpt2", expected a mapping that begins with \`kind: ${kinds.join('|')}\``,
    ],
    [
      change('encoding: gpt2', 'encoding: gpt-2'),
      'line 3: tokenizer.encoding: is "gpt-2", expected one of gpt2, r50k_base, p50k_base, cl100k_base, o200k_base; did you mean `gpt2`?',
    ],
    [
      change(', encoding: gpt2', ''),
      'line 3: tokenizer.encoding: is missing, expected one of gpt2, r50k_base, p50k_base, cl100k_base, o200k_base',
    ],
    [
      change('custom_json', 'custom-json'),
      `line 9: splits.train[0].task: is "custom-json", expected ${tasks}; did you mean \`custom_json\`?`,
    ],
    [
      change('custom_json', 'SmolTalk'),
      `line 9: splits.train[0].task: is "SmolTalk", expected ${tasks}; did you mean \`smoltalk\`?`,
    ],
    [change('task: custom_json, ', ''), `line 9: splits.train[0].task: is missing, expected ${tasks}`],
    [
      change(/splits:[\s\S]*/, ''),
      'line 1: splits: is missing, expected a mapping with the fields val, train',
    ],
    [
      change(/ {2}train:[\s\S]*/, '  train: []\n'),
      'line 8: splits.train: is an empty list, expected a list with at least one entry',
    ],
    [
      change(/ {2}train:[\s\S]*/, '  train:\n'),
      'line 8: splits.train: is empty (null), expected a list with at least one entry',
    ],
    [
      change(/ {2}train:[\s\S]*/, '  val: []\n'),
      'line 7: splits: has no sources, expected some for `train`, `val` or a split of another name',
    ],
    [
      change(/ {4}- .*/, '    - smoltalk'),
      `line 9: splits.train[0]: is "smoltalk", expected a mapping that begins with \`task: ${names.join('|')}\``,
    ],
    [`${good}  val: 3\n`, 'line 10: splits.val: is 3, expected a list'],
    [change('  train:', '  trian:'), 'line 8: splits.trian: is no name for a split; did you mean `train`?'],
    [change('  train:', '  Val:'), 'line 8: splits.Val: is no name for a split; did you mean `val`?'],
    [
      change('  train:', '  a.b:'),
      'line 8: splits.a.b: is no name for a split: letters, digits, "_" and "-", beginning with a letter',
    ],
    [
      `${good}output: { format: parqet }\n`,
      `line 10: output.format: is "parqet", expected one of ${formats.join(', ')}; did you mean \`parquet\`?`,
    ],
    [
      `${good}output: { fromat: parquet }\n`,
      `line 10: output.format: is missing (did you mean it by \`fromat\`?), expected one of ${formats.join(', ')}`,
    ],
    [
      change('template: nanochat', 'template: user_assistant'),
      'line 4: template: is user_assistant, which writes text: it goes with `tokenizer: { kind: bytes }` only',
    ],
    [
      `${good}output: { format: text }\n`,
      'line 10: output: is text, which holds what `template: user_assistant` writes, and no tokens',
    ],
    [
      change('  train:', `  ${'a'.repeat(65)}:`),
      `line 8: splits.${'a'.repeat(65)}: is too long for the name of a split: 65 characters, at most 64`,
    ],
    [
      `${good}dtype: int16\n`,
      'line 10: dtype: is "int16", expected one of auto, uint16, uint32; did you mean `uint16`?',
    ],
    [`${good}order: shuffled\n`, 'line 10: order: is "shuffled", expected one of mixture, sequence'],
    [
      `${good}order: sequence\nshuffle: { kind: python, seed: 1 }\n`,
      'line 10: order: is sequence, which keeps the sources in their order, but shuffle.kind is python; leave one out',
    ],
    [
      `${good}shuffle: { kind: none }\norder: mixture\n`,
      'line 11: order: is mixture, which is shuffled, but shuffle.kind is none; leave one out',
    ],
    [`${good}onBadRow: skip\n`, 'line 10: onBadRow: is "skip", expected one of fail, quarantine'],
    [
      `${good}badRowLimit: -1\n`,
      'line 10: badRowLimit: is -1, expected a whole number from 0 to 9007199254740991',
    ],
    [
      `${good}shuffle: { kind: pyhton, seed: 1 }\n`,
      'line 10: shuffle.kind: is "pyhton", expected one of python, numpy, seedrandom, none; did you mean `python`?',
    ],
    [
      `${good}shuffle: { kind: python }\n`,
      'line 10: shuffle.seed: is missing, expected a whole number from 0 to 9007199254740991',
    ],
    [
      `${good}shuffle: { kind: python, seed: -4 }\n`,
      'line 10: shuffle.seed: is -4, expected a whole number from 0 to 9007199254740991',
    ],
    [
      `${good}shuffle: python\n`,
      'line 10: shuffle: is "python", expected a mapping that begins with `kind: python|numpy|seedrandom|none`',
    ],
    [
      change('a.jsonl', 'a.jsonl, start: -1'),
      'line 9: splits.train[0].start: is -1, expected a whole number from 0 to 9007199254740991',
    ],
    [
      change('a.jsonl', 'a.jsonl, start: 5, stop: 2'),
      'line 9: splits.train[0].start: is 5, which is past stop (2)',
    ],
    [
      change('a.jsonl', 'a.jsonl, stop: 1.5'),
      'line 9: splits.train[0].stop: is 1.5, expected a whole number from 0 to 9007199254740991 or null',
    ],
    [
      change('a.jsonl', 'a.jsonl, step: 0'),
      'line 9: splits.train[0].step: is 0, expected a whole number from 1 to 9007199254740991',
    ],
    [
      change('a.jsonl', 'a.jsonl, repeat: -1'),
      'line 9: splits.train[0].repeat: is -1, expected a whole number from 0 to 2147483647',
    ],
    [
      change('a.jsonl', 'a.jsonl, repeat: 1e300'),
      'line 9: splits.train[0].repeat: is 1e+300, expected a whole number from 0 to 2147483647',
    ],
    [
      change('a.jsonl', 'a.jsonl, optional: yes'),
      'line 9: splits.train[0].optional: is "yes", expected true or false',
    ],
    [
      change('path: a.jsonl', 'path: ""'),
      'line 9: splits.train[0].path: is "", expected a string (not empty)',
    ],
    [
      change(', path: a.jsonl', ''),
      'line 9: splits.train[0].path: is missing, expected a string (not empty)',
    ],
    [
      source('simple_spelling, size: 0'),
      'line 9: splits.train[0].size: is 0, expected a whole number from 1 to 4000000000',
    ],
    [
      source('simple_spelling, size: 3, words: 3'),
      'line 9: splits.train[0].words: is 3, expected a string (not empty) or a mapping with the fields repo, file, revision',
    ],
    [
      source('simple_spelling, size: 3, words: { repo: x }'),
      'line 9: splits.train[0].words.file: is missing, expected a string (not empty)',
    ],
    [source('gsm8k'), 'line 9: splits.train[0].split: is missing, expected a string (not empty)'],
    [
      source('gsm8k, split: train, seed: abc'),
      'line 9: splits.train[0].seed: is "abc", expected a whole number from 0 to 9007199254740991 or null',
    ],
    [source('gsm8k, split: train, subset: 3'), 'line 9: splits.train[0].subset: is 3, expected a string'],
    [
      source('messages, path: a.jsonl, roles: { human: usr }'),
      'line 9: splits.train[0].roles.human: is "usr", expected one of system, user, assistant; did you mean `user`?',
    ],
    [
      source('messages, path: a.jsonl, columns: [a]'),
      'line 9: splits.train[0].columns: is a list, expected a mapping',
    ],
    [
      source('messages, path: a.jsonl, shape: ShareGPT'),
      'line 9: splits.train[0].shape: is "ShareGPT", expected one of messages, sharegpt, alpaca; did you mean `sharegpt`?',
    ],
  ]
  test.each(cases)('%#', (text, message) => {
    const error = refusal(text)
    expect(error.message).toBe(`r.yaml, ${message}`)
    expect(error.code).toBe('RECIPE')
  })
})
