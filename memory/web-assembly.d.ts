/** What we use of it: Node's types lack it without those of browsers. */
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array)
  }
  class Instance {
    constructor(module: Module)
    readonly exports: unknown
  }
  class Memory {
    constructor(size: { readonly initial: number })
    readonly buffer: ArrayBuffer
    /** By pages of 64 KB. Throws RangeError where there is no memory. */
    grow(pages: number): number
  }
}
