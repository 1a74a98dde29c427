/** What travels between clients, workflows and activities: plain JSON, small, and free of secrets. */
import type { EvaluateArgs } from '../pipeline/evaluate.ts'
import type { KindReport } from '../pipeline/results.ts'
import type { Digest } from '../store/types.ts'

/** What a build is asked for. Recipe and lock lie in the store; history carries their digests. */
export interface BuildArgs {
  /** Digest of a BuildRequest blob. */
  readonly request: Digest
  readonly name: string
  /** Absolute path of the output folder, as the workers of the io queue see it. */
  readonly out: string
  readonly recheck?: boolean
  readonly limits?: Limits
  /** Kept by continue-as-new. */
  readonly carried?: Carried
}

export interface Limits {
  /** An activity that is silent for longer has lost its worker. Milliseconds. */
  readonly heartbeatMs?: number
  /** Events after which a workflow continues as new. */
  readonly history?: number
  /** Our search attributes that the server has registered; absent when it has none. */
  readonly attributes?: readonly string[]
}

/** Which build a workflow or an activity works for: the first run of its root workflow. */
export interface BuildRef {
  readonly workflowId: string
  readonly runId: string
}

/** What a build's workflow hands on to itself when it continues as new. */
export interface Carried {
  readonly build: BuildRef
  readonly repairs: number
  /** Stages that former runs of this workflow ran, so that they do not count as cached. */
  readonly ran: Totals
  /** The lock that the recipe was resolved to. */
  readonly resolved?: Digest
}

/** The argument of a part's workflow. */
export interface PartInput<A> {
  readonly args: A
  readonly title: string
  readonly build: BuildRef
  readonly limits: Limits
  readonly ran: Totals
}

export interface PartOutput<R> {
  readonly result: R
  readonly totals: Totals
}

/** Figures of one stage's pieces. */
export interface StageTotals {
  expected: number
  cached: number
  run: number
  rows: number
  tokens: number
  bytes: number
}

/** By stage name. */
export type Totals = Readonly<Record<string, StageTotals>>

/** The answer to the progress query. */
export interface WorkflowProgress {
  readonly title: string
  readonly state: 'resolving' | 'building' | 'publishing' | 'done'
  readonly totals: Totals
  /** Splits that are built and verified, with what they came to. */
  readonly verified: readonly { readonly split: string; readonly totals: Totals }[]
  /** Child workflows under way. */
  readonly children: readonly { readonly workflowId: string; readonly split?: string }[]
}

/** What a finished build came to: of any kind, and of its own. */
export type BuildReport = CommonReport & KindReport

interface CommonReport {
  readonly schema: 1
  readonly name: string
  readonly lock: Digest
  readonly out: string
  readonly published: 'written' | 'unchanged'
  readonly run: number
  readonly cached: number
  readonly fileCount: number
  readonly bytes: number
  /** Digest of the JSON list of the output's files ({path, sha256, bytes}), in the store. */
  readonly files: Digest
}

/** What `eval --temporal` starts a workflow with. */
export type EvaluateInput = Pick<PartInput<EvaluateArgs>, 'args' | 'title' | 'limits'>
