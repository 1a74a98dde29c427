import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { packClasses, pointClasses, unpackClasses } from '../../bpe/classes.ts'
import { classesModule, probeClasses } from '../../bpe/probe-classes.ts'

const generated = new URL('../../bpe/unicode-classes.ts', import.meta.url)

test('the class table is the one of Unicode 16', () => {
  const digest = createHash('sha256').update(pointClasses()).digest('hex')
  expect(digest).toBe('431fe12dfe83a51fdde73e702c53729dd392bdd44272fc2eacd7ab7d09434f61')
})

test('the class of every code point is what the tiktoken package says', () => {
  const probed = probeClasses()
  if (process.env['UPDATE_CLASSES'] === '1') writeFileSync(generated, classesModule(probed))
  const committed = pointClasses()
  const different: string[] = []
  for (let point = 0; point < probed.length; point++) {
    const surrogate = point >= 0xd800 && point <= 0xdfff
    if (!surrogate && probed[point] !== committed[point]) different.push(point.toString(16))
  }
  expect(different).toEqual([])
})

test('packing and unpacking classes is lossless', () => {
  const points = pointClasses()
  const again = new Uint8Array(points.length)
  unpackClasses(packClasses(points), again)
  expect(Buffer.compare(again, Buffer.from(points.slice()))).toBe(0)
})
