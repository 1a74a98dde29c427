/** Figures of an evaluation: accuracy, the share above guessing, and how sure they are. */

export interface TaskScore {
  readonly label: string
  readonly examples: number
  readonly correct: number
  /** correct / examples; 0 when there are none. */
  readonly accuracy: number
  /** 95 % Wilson score interval of the accuracy. */
  readonly interval: readonly [number, number]
  readonly randomBaseline: number
  /** (accuracy − baseline) / (1 − baseline): 0 is guessing, 1 is perfect. */
  readonly centered: number
  /** Problems of which the endpoint returned no letter: counted as wrong. */
  readonly unanswered: number
  /** Problems of which it returned some letters, but not all. */
  readonly partial: number
}

const z = 1.959963984540054

/** The Wilson score interval at 95 %. */
export function wilson(correct: number, examples: number): [number, number] {
  if (examples === 0) return [0, 1]
  const p = correct / examples
  const scale = 1 + (z * z) / examples
  const middle = (p + (z * z) / (2 * examples)) / scale
  const half = (z / scale) * Math.sqrt((p * (1 - p)) / examples + (z * z) / (4 * examples * examples))
  return [Math.max(0, middle - half), Math.min(1, middle + half)]
}

export function centered(accuracy: number, randomBaseline: number): number {
  return randomBaseline === 1 ? 0 : (accuracy - randomBaseline) / (1 - randomBaseline)
}

/**
 * The mean of the centered scores (ChatCORE), with a 95 % interval: tasks are independent samples, so the mean's
 * variance is the sum of the tasks' p(1 − p)/n / (1 − baseline)², over the number of tasks squared.
 */
export function chatCore(tasks: readonly TaskScore[]): {
  readonly mean: number
  readonly interval: readonly [number, number]
} {
  const counted = tasks.filter(({ examples }) => examples > 0)
  if (counted.length === 0) return { mean: 0, interval: [0, 0] }
  const mean = counted.reduce((sum, task) => sum + task.centered, 0) / counted.length
  const variance = counted.reduce(
    (sum, { accuracy: p, examples, randomBaseline }) =>
      sum + (p * (1 - p)) / examples / (1 - Math.min(randomBaseline, 1 - 1e-9)) ** 2,
    0,
  )
  const half = (z * Math.sqrt(variance)) / counted.length
  return { mean, interval: [mean - half, mean + half] }
}

/** The letter of the greatest log-probability, the first of equals; one not returned is below all others. */
export function choiceOf(logprobs: readonly (number | null)[]): number | undefined {
  let best: number | undefined
  logprobs.forEach((value, i) => {
    if (value !== null && (best === undefined || value > logprobs[best]!)) best = i
  })
  return best
}
