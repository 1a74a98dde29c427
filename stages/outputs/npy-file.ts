/**
 * NumPy's .npy files, format version 1.0, as numpy.save writes them: "\x93NUMPY", 1, 0, u16 LE length of the header,
 * the header (a Python dict, with spaces up to 21 digits of the first axis, then up to a multiple of 64 bytes, ended by
 * a newline), the values in C order. numpy/lib/format.py; NumPy 1.23 and newer leave room for the axis to grow.
 */
import { type ByteFile, verifyError } from './define-output.ts'

const preludeBytes = 10
/** Room for the first axis. */
const axisDigits = 21

/** `descr` is NumPy's: `<u2`, `<u4`, `<i4`, `|u1`. */
export function encodeNpyHead(descr: string, shape: readonly number[]): Uint8Array {
  const axes = shape.length === 1 ? `${shape[0]},` : shape.join(', ')
  const dict = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${axes}), }`
  const room = dict + ' '.repeat(axisDigits - String(shape[0]).length)
  const total = Math.ceil((preludeBytes + room.length + 1) / 64) * 64
  const header = `${room.padEnd(total - preludeBytes - 1)}\n`
  const bytes = Buffer.alloc(total)
  bytes.write('\x93NUMPY\x01\x00', 0, 'latin1')
  bytes.writeUInt16LE(header.length, 8)
  bytes.write(header, preludeBytes, 'latin1')
  return bytes
}

export interface NpyFile {
  readonly shape: readonly number[]
  /** Bytes before the values. */
  readonly headBytes: number
}

/** Reads a head that `encodeNpyHead` wrote, and checks it against the file's size. Throws VERIFY errors. */
export async function readNpyHead(file: ByteFile, descr: string, axes: number): Promise<NpyFile> {
  const fail = (why: string) => verifyError(file.name, why)
  if (file.size < preludeBytes) throw fail(`is ${file.size} bytes long, shorter than a .npy head`)
  const prelude = Buffer.from(await file.read(0, preludeBytes))
  if (prelude.toString('latin1', 0, 8) !== '\x93NUMPY\x01\x00')
    throw fail('does not begin as a .npy file of version 1.0')
  const length = prelude.readUInt16LE(8)
  if (file.size < preludeBytes + length) throw fail('is shorter than its head')
  const header = Buffer.from(await file.read(preludeBytes, length)).toString('latin1')
  const text = /'shape': \((?<shape>[0-9, ]*)\)/.exec(header)?.groups?.['shape'] ?? ''
  const shape = text
    .split(',')
    .filter((axis) => axis.trim() !== '')
    .map(Number)
  const expected =
    shape.length === axes ? Buffer.from(encodeNpyHead(descr, shape)).subarray(preludeBytes) : ''
  if (header !== expected.toString('latin1'))
    throw fail(`has a head that is not one of ${axes} axes and type ${descr}`)
  const width = Number(descr.slice(2))
  const bytes = preludeBytes + length + shape.reduce((product, axis) => product * axis, width)
  if (file.size !== bytes) throw fail(`is ${file.size} bytes long, but its head says ${bytes}`)
  return { shape, headBytes: preludeBytes + length }
}
