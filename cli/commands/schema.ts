import { recipeJsonSchema } from '../../recipe/schema.ts'

export async function schemaCommand(): Promise<void> {
  process.stdout.write(`${JSON.stringify(recipeJsonSchema(), null, 2)}\n`)
}
