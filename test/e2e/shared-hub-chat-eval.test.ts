/** The chat evaluation of real datasets, where they are at hand (../shared/hub): bench/reference/chat_eval_reference.py's bytes. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { sharedHub, sharedSuite } from '../shared.ts'
import { ok, outputOf, projectRoot, serve, temporaryFolder } from './cli.ts'

sharedSuite('the chat evaluation of real datasets', () => {
  test('is what torch.save writes', async () => {
    const folder = temporaryFolder()
    const out = join(folder, 'out')
    const recipe = join(projectRoot, 'recipes', 'nanochat-chat-eval.yaml')
    await ok(['build', recipe, '--out', out, '--store', join(folder, 'store')], {
      env: { HF_ENDPOINT: (await serve(sharedHub)).url },
    })
    expect(outputOf(out)).toMatchObject({
      'MMLU.pt': '6c450b28d704363b969b794c600c9a88e537079dc11512827e878ff537b192ac',
      'ARC-Easy.pt': '598684b585b02a68e9ea08696f8071a2d2e369240624c3fcda7d076139f62e07',
      'ARC-Challenge.pt': 'edfce8f5ebdce12ffffc1eec015f95c49a9775e4390adfd14bbc6ed0c53280be',
    })
    await ok(['verify', out])
  })
})
