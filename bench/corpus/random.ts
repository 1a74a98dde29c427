/** A small fast generator (sfc32): the corpus is the same on every machine. */
export class Random {
  private a: number
  private b: number
  private c: number
  private d = 1

  constructor(seed: number) {
    this.a = 0x9e3779b9
    this.b = seed | 0
    this.c = Math.imul(seed, 0x85ebca6b) ^ 0x243f6a88
    for (let i = 0; i < 16; i++) this.u32()
  }

  u32(): number {
    const t = (((this.a + this.b) | 0) + this.d) | 0
    this.d = (this.d + 1) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = (this.c << 21) | (this.c >>> 11)
    this.c = (this.c + t) | 0
    return t >>> 0
  }

  /** 0 … n-1. */
  below(n: number): number {
    return Math.floor((this.u32() / 2 ** 32) * n)
  }

  /** True with a chance of `share`. */
  chance(share: number): boolean {
    return this.u32() < share * 2 ** 32
  }

  /** Log-normal with the given median. */
  logNormal(median: number, sigma: number): number {
    // Twelve uniforms make a normal that is good enough for lengths.
    let sum = -6
    for (let i = 0; i < 12; i++) sum += this.u32() / 2 ** 32
    return median * Math.exp(sigma * sum)
  }
}
