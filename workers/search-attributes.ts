/** Which of our search attributes a server has registered. They are a convenience: nothing depends on them. */
import type { Client } from '@temporalio/client'
import { searchAttributes } from '../workflows/names.ts'

/** temporal.api.enums.v1.IndexedValueType */
const keyword = 2

const known = new WeakMap<Client, Promise<readonly string[]>>()

/** Asks once a client. A server that does not say (Temporal Cloud asks for other rights) has none. */
export function registeredAttributes(client: Client): Promise<readonly string[]> {
  let names = known.get(client)
  if (names === undefined) {
    names = ask(client).catch(() => [])
    known.set(client, names)
  }
  return names
}

async function ask(client: Client): Promise<readonly string[]> {
  const { customAttributes } = await client.connection.operatorService.listSearchAttributes({
    namespace: client.options.namespace,
  })
  return Object.values(searchAttributes).filter((name) => customAttributes?.[name] === keyword)
}
