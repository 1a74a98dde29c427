/**
 * Makes the file system fail on purpose. For `node --import <this file> program`:
 *
 *   SHARDMILL_TEST_FAULT='<kind>:<which>:<what>'     several separated by commas
 *   SHARDMILL_TEST_FAULT_PATH='<text>'               only calls whose path contains it (a file handle's path too)
 *   SHARDMILL_TEST_FAULT_REPORT='<file>'             a line is appended there for each fault that struck
 *
 * kind   open write fsync rename link mkdir read unlink rmdir readdir stat utimes chmod truncate close copy, or any.
 *        write is write, writev, writeFile and appendFile; fsync also fdatasync; read also readv and readFile;
 *        unlink also rm; stat also lstat, fstat and access.
 * which  7 the seventh call, 7+ it and all later ones, 3-5, or * for all. Counted from 1 over the whole process,
 *        worker threads included, per fault; only calls that match the path count.
 * what   an errno name (ENOSPC), `short` (half of the bytes are written or read, and the call says so),
 *        `torn` (half of the bytes are written, then SIGKILL), `kill-before`, `kill-after` (SIGKILL around the
 *        call), `stop-before` (SIGSTOP).
 *
 * Callback, promise and synchronous forms, and the methods of FileHandle, are all wrapped. A program under
 * test may also steer it: `globalThis[Symbol.for('shardmill.fault')]` has `arm(spec, path)` and `struck()`.
 */

import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads'

const MAX_FAULTS = 8
const SHARED = 'shardmill-test-fault-counts'
const KINDS = {
  open: ['open'],
  write: ['write', 'writev', 'writeFile', 'appendFile'],
  fsync: ['fsync', 'fdatasync', 'sync', 'datasync'],
  rename: ['rename'],
  link: ['link'],
  mkdir: ['mkdir', 'mkdtemp'],
  read: ['read', 'readv', 'readFile'],
  unlink: ['unlink', 'rm'],
  rmdir: ['rmdir'],
  readdir: ['readdir', 'opendir'],
  stat: ['stat', 'lstat', 'fstat', 'access'],
  utimes: ['utimes', 'futimes', 'lutimes'],
  chmod: ['chmod', 'fchmod'],
  truncate: ['truncate', 'ftruncate'],
  close: ['close'],
  copy: ['copyFile', 'cp'],
}
const BY_FD = new Set([
  'write',
  'writev',
  'fsync',
  'fdatasync',
  'read',
  'readv',
  'fstat',
  'futimes',
  'fchmod',
  'ftruncate',
  'close',
])

/** Calls counted per fault (first half) and struck (second half), shared with worker threads. */
const shared = isMainThread ? new SharedArrayBuffer(4 * 2 * MAX_FAULTS) : getEnvironmentData(SHARED)
if (isMainThread) setEnvironmentData(SHARED, shared)
const counts = new Int32Array(shared)

let faults = []
let onlyPath = ''

function arm(spec, path = '') {
  counts.fill(0)
  setFaults(spec, path)
}

function setFaults(spec, path) {
  onlyPath = path
  faults = spec
    .split(',')
    .filter(Boolean)
    .map((text) => {
      const [kind, which, what] = text.trim().split(':')
      if (kind !== 'any' && KINDS[kind] === undefined)
        throw new Error(`SHARDMILL_TEST_FAULT: unknown kind in ${text}`)
      const range = /^(?:(\d+)(\+|-(\d+))?|\*)$/.exec(which ?? '')
      if (range === null) throw new Error(`SHARDMILL_TEST_FAULT: unknown number in ${text}`)
      const known = ['short', 'torn', 'kill-before', 'kill-after', 'stop-before']
      if (!known.includes(what) && constants.errno[what] === undefined) {
        throw new Error(`SHARDMILL_TEST_FAULT: unknown fault in ${text}`)
      }
      const from = range[1] === undefined ? 1 : Number(range[1])
      const open = range[1] === undefined || range[2] === '+'
      const to = open ? Number.POSITIVE_INFINITY : range[3] === undefined ? from : Number(range[3])
      return { kind, from, to, what, text }
    })
  if (faults.length > MAX_FAULTS) throw new Error(`SHARDMILL_TEST_FAULT: more than ${MAX_FAULTS} faults`)
}

function struck() {
  let sum = 0
  for (let i = 0; i < MAX_FAULTS; i++) sum += Atomics.load(counts, MAX_FAULTS + i)
  return sum
}

const real = { appendFileSync: fs.appendFileSync, closeSync: fs.closeSync }

/** The fault that strikes this call, if any. `fits`: can this call be short or torn? */
function faultFor(kind, path, fits) {
  if (faults.length === 0 || (onlyPath !== '' && !path.includes(onlyPath))) return undefined
  let striking
  for (const [i, fault] of faults.entries()) {
    if (fault.kind !== kind && fault.kind !== 'any') continue
    if ((fault.what === 'short' || fault.what === 'torn') && !fits) continue
    const n = Atomics.add(counts, i, 1) + 1
    if (n < fault.from || n > fault.to || striking !== undefined) continue
    Atomics.add(counts, MAX_FAULTS + i, 1)
    striking = fault
    const report = process.env.SHARDMILL_TEST_FAULT_REPORT
    if (report) real.appendFileSync(report, `${fault.text} ${n} ${path}\n`)
  }
  return striking
}

function failure(code, syscall, path) {
  const number = constants.errno[code]
  const error = new Error(`${code}: made to fail, ${syscall}${path ? ` '${path}'` : ''}`)
  return Object.assign(error, { errno: -number, code, syscall, ...(path ? { path } : {}) })
}

function signalSelf(signal) {
  process.kill(process.pid, signal)
  // The signal may take a moment to arrive; nothing more may happen in this thread until then.
  if (signal === 'SIGKILL') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

const pathOfFd = new Map()
const pathOfHandle = new WeakMap()
const text = (path) => (typeof path === 'string' ? path : path instanceof URL ? fileURLToPath(path) : '')
const pathOf = (name, args) =>
  BY_FD.has(name) || typeof args[0] === 'number' ? (pathOfFd.get(args[0]) ?? '') : text(args[0])

/** The arguments of a write or read, so that it does half; undefined where that cannot be said. */
function halved(name, args, at) {
  if (name === 'writev' || name === 'readv')
    return args[at]?.length > 1 ? args.with(at, args[at].slice(0, 1)) : undefined
  if (name !== 'write' && name !== 'read') return undefined
  const buffer = args[at]
  if (!ArrayBuffer.isView(buffer)) return undefined
  // (buffer, offset, length, …) or (buffer, {offset, length, …})
  const options = typeof args[at + 1] === 'object' && args[at + 1] !== null ? args[at + 1] : undefined
  const offset = (options ? options.offset : typeof args[at + 1] === 'number' ? args[at + 1] : 0) ?? 0
  const given = options ? options.length : typeof args[at + 2] === 'number' ? args[at + 2] : undefined
  const length = given ?? buffer.byteLength - offset
  if (length < 2) return undefined
  const half = Math.floor(length / 2)
  if (options) return args.with(at + 1, { ...options, offset, length: half })
  return [...args.slice(0, at + 1), offset, half, ...args.slice(at + 3)]
}

/** Wraps one function. `style` is how it answers; `at` where a buffer stands among its arguments. */
function wrap(kind, name, original, style, at, pathFor) {
  return function wrapped(...args) {
    const callback = style === 'callback' && typeof args.at(-1) === 'function' ? args.at(-1) : undefined
    // The standard streams are not the file system, though Node may write to them through fs.
    if (style !== 'promise' && typeof args[0] === 'number' && args[0] <= 2) return original.apply(this, args)
    const path = pathFor(this, args)
    const half = halved(name, args, at)
    const fault = faultFor(kind, path, half !== undefined)
    if (fault === undefined) return original.apply(this, args)
    const { what } = fault
    if (what === 'kill-before') signalSelf('SIGKILL')
    if (what === 'stop-before') {
      signalSelf('SIGSTOP')
      return original.apply(this, args)
    }
    if (what === 'short') return original.apply(this, half)
    if (what === 'torn' || what === 'kill-after') {
      const made = what === 'torn' ? half : args
      const die = () => signalSelf('SIGKILL')
      if (style === 'sync') {
        const result = original.apply(this, made)
        die()
        return result
      }
      if (style === 'promise') return original.apply(this, made).then(die, die)
      return original.apply(this, [...made.slice(0, callback ? -1 : undefined), die])
    }
    const error = failure(what, name, path)
    // A close that fails has closed all the same.
    if (kind === 'close' && style === 'promise')
      return original.apply(this, args).then(() => Promise.reject(error))
    if (kind === 'close') real.closeSync(args[0])
    if (style === 'sync') throw error
    if (style === 'promise') return Promise.reject(error)
    if (callback === undefined) throw error
    process.nextTick(callback, error)
  }
}

const keep = (wrapped, original) => {
  // util.promisify and friends find what they knew on the original.
  for (const key of Reflect.ownKeys(original)) {
    if (key === 'length' || key === 'name' || key === 'prototype') continue
    Object.defineProperty(wrapped, key, Object.getOwnPropertyDescriptor(original, key))
  }
  return wrapped
}

const handle = await fs.promises.open(fileURLToPath(import.meta.url))
const FileHandle = Object.getPrototypeOf(handle)
await handle.close()

for (const [kind, names] of Object.entries(KINDS)) {
  for (const name of names) {
    const plain = (_self, args) => pathOf(name, args)
    if (typeof fs[name] === 'function')
      fs[name] = keep(wrap(kind, name, fs[name], 'callback', 1, plain), fs[name])
    const sync = `${name}Sync`
    if (typeof fs[sync] === 'function')
      fs[sync] = keep(wrap(kind, name, fs[sync], 'sync', 1, plain), fs[sync])
    if (typeof fs.promises[name] === 'function') {
      // fs.promises.writeFile and its like take a FileHandle too.
      const promised = (_self, args) => pathOfHandle.get(args[0]) ?? text(args[0])
      fs.promises[name] = wrap(kind, name, fs.promises[name], 'promise', 1, promised)
    }
    if (Object.hasOwn(FileHandle, name) && typeof FileHandle[name] === 'function') {
      const ofHandle = (self) => pathOfHandle.get(self) ?? ''
      FileHandle[name] = wrap(kind, name, FileHandle[name], 'promise', 0, ofHandle)
    }
  }
}

// Which path a descriptor or handle belongs to.
const opens = { promise: fs.promises.open, callback: fs.open, sync: fs.openSync }
fs.promises.open = async (path, ...rest) => {
  const opened = await opens.promise(path, ...rest)
  pathOfHandle.set(opened, text(path))
  pathOfFd.set(opened.fd, text(path)) // worker threads write through it
  // A handle has a `close` of its own, not its prototype's.
  opened.close = wrap('close', 'close', opened.close, 'promise', 0, () => text(path))
  return opened
}
fs.openSync = (path, ...rest) => {
  const fd = opens.sync(path, ...rest)
  pathOfFd.set(fd, text(path))
  return fd
}
fs.open = (path, ...rest) => {
  const callback = rest.pop()
  opens.callback(path, ...rest, (error, fd) => {
    if (!error) pathOfFd.set(fd, text(path))
    callback(error, fd)
  })
}

syncBuiltinESMExports()
if (isMainThread) arm(process.env.SHARDMILL_TEST_FAULT ?? '', process.env.SHARDMILL_TEST_FAULT_PATH ?? '')
else setFaults(process.env.SHARDMILL_TEST_FAULT ?? '', process.env.SHARDMILL_TEST_FAULT_PATH ?? '')
globalThis[Symbol.for('shardmill.fault')] = { arm, struck }
