/** Rows and templates that are small to write and endless to work off: refused, never a stack trace or a hang. */
import { expect, test } from 'vitest'
import { compileTemplate } from '../../stages/templates/jinja-engine.ts'
import { conversation, customJson, jsonLines, Lab, recipeOf, rejectedOf } from './support.ts'

test('a row that is nested 100,000 deep', async () => {
  const lab = new Lab()
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
  lab.write('a.jsonl', `${jsonLines([conversation('hi', 'hello')])}${deep}\n`)
  const says = 'a.jsonl, line 2: expected at least 2 messages, found 1'
  await lab.refuses(recipeOf(customJson), { exit: 1, code: 'BAD_ROW', says })

  const report = await lab.builds(recipeOf(customJson, { onBadRow: 'quarantine' }))
  expect(report.splits.train.conversations).toBe(1)
  expect(rejectedOf(lab)).toEqual([
    expect.objectContaining({ line: 2, why: 'expected at least 2 messages, found 1' }),
  ])
  expect(rejectedOf(lab)[0]).not.toHaveProperty('value')
})

test('a template whose empty loops never end', () => {
  const loop = '{% for i in range(5000) %}{% for j in range(5000) %}{% endfor %}{% endfor %}'
  expect(() => compileTemplate(loop).render([])).toThrow('more than 1000000 turns')
})
