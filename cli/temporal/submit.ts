/** Submitting a build: local files and the request go into the shared store, its digest to Temporal. */
import { dirname, resolve } from 'node:path'
import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client'
import { defineSearchAttributeKey } from '@temporalio/common'
import { putRequest } from '../../activities/request.ts'
import type { RecipeText } from '../../engine/build.ts'
import { canonicalJson, digestOfText } from '../../pipeline/keys.ts'
import type { Lock } from '../../pipeline/lock.ts'
import { importLocalFiles } from '../../recipe/local-files.ts'
import { parseRecipe } from '../../recipe/parse.ts'
import { openStore } from '../../stages/open-store.ts'
import type { Json } from '../../store/types.ts'
import { registeredAttributes } from '../../workers/search-attributes.ts'
import { buildIdPrefix, buildWorkflow, queues, searchAttributes } from '../../workflows/names.ts'
import type { BuildArgs, Limits } from '../../workflows/types.ts'

export interface Submission {
  readonly recipe: RecipeText
  readonly out: string
  readonly store: string
  readonly locked?: Lock
  readonly recheck?: boolean
  readonly limits?: Limits
  readonly notice?: (text: string) => void
}

export interface Submitted {
  readonly workflowId: string
  readonly runId: string
  /** False when the very same build was under way already. */
  readonly started: boolean
}

/** Starts the build, or finds it running: the same recipe, files and output folder are the same build. */
export async function submitBuild(client: Client, submission: Submission): Promise<Submitted> {
  const { recipe, locked, recheck, limits } = submission
  const parsed = parseRecipe(recipe.text, recipe.file, recipe.settings)
  const out = resolve(submission.out)
  const store = await openStore(submission.store)
  try {
    const locals = await importLocalFiles(parsed, store, dirname(recipe.file), submission.notice)
    const request = await putRequest(store, {
      schema: 1,
      recipe,
      locals,
      ...(locked === undefined ? {} : { locked }),
    })
    const attributes = await registeredAttributes(client)
    const args: BuildArgs = {
      request,
      name: parsed.name,
      out,
      ...(recheck === undefined ? {} : { recheck }),
      ...(limits === undefined && attributes.length === 0
        ? {}
        : { limits: { ...limits, ...(attributes.length === 0 ? {} : { attributes }) } }),
    }
    // What the recipe file is called, and where it lies, makes no other build of it.
    const { text, settings } = recipe
    const id = digestOfText(
      canonicalJson({ text, settings, locals, locked: locked ?? null, out } as unknown as Json),
    )
    const workflowId = `${buildIdPrefix}${parsed.name}-${id.slice(0, 12)}`
    try {
      const handle = await client.workflow.start(buildWorkflow, {
        workflowId,
        taskQueue: queues.workflows,
        args: [args],
        memo: { name: parsed.name, out, state: 'resolving' },
        staticSummary: `${parsed.name} to ${out}`,
        ...(attributes.includes(searchAttributes.recipe)
          ? {
              typedSearchAttributes: [
                { key: defineSearchAttributeKey(searchAttributes.recipe, 'KEYWORD'), value: parsed.name },
              ],
            }
          : {}),
      })
      return { workflowId, runId: handle.firstExecutionRunId, started: true }
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error
      const { runId } = await client.workflow.getHandle(workflowId).describe()
      return { workflowId, runId, started: false }
    }
  } finally {
    await store.close()
  }
}
