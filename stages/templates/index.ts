import { chatml } from './chatml.ts'
import type { Template } from './define-template.ts'
import { jinja } from './jinja.ts'
import { nanochat } from './nanochat.ts'
import { userAssistant } from './user-assistant.ts'

/** Every chat template a recipe can name. */
export const templates: readonly Template[] = [nanochat, chatml, userAssistant, jinja]

export function templateOf(name: string): Template {
  const template = templates.find((candidate) => candidate.name === name)
  if (template === undefined) throw new TypeError(`no template '${name}'`)
  return template
}
