/**
 * Where Temporal is: settings as Temporal's own tools read them (environment first, then a profile of
 * `temporal.toml`), a flag before both. One error for everything that keeps us from it.
 */
import { Client, Connection, isGrpcServiceError } from '@temporalio/client'
import { type ClientConnectConfig, loadClientConnectConfig } from '@temporalio/envconfig'
import { NativeConnection } from '@temporalio/worker'
import { ShardmillError } from '../errors/index.ts'

export interface TemporalSettings {
  readonly address: string
  readonly namespace: string
  readonly connection: ClientConnectConfig['connectionOptions']
}

const defaultAddress = 'localhost:7233'
const connectTimeoutMs = 5_000

/** Reads the settings. TEMPORAL errors name a profile or certificate that cannot be used. */
export function temporalSettings(address?: string, namespace?: string): TemporalSettings {
  let config: ClientConnectConfig
  try {
    config = loadClientConnectConfig()
  } catch (error) {
    throw new ShardmillError(
      'TEMPORAL',
      `the Temporal settings cannot be read: ${(error as Error).message}`,
      {
        hint: 'Look at TEMPORAL_CONFIG_FILE, TEMPORAL_PROFILE and the TEMPORAL_TLS variables.',
        cause: error,
      },
    )
  }
  const chosen = address ?? config.connectionOptions.address ?? defaultAddress
  return {
    address: chosen,
    namespace: namespace ?? config.namespace ?? 'default',
    connection: { ...config.connectionOptions, address: chosen },
  }
}

/** A connection to the server, whatever namespaces it has. Throws TEMPORAL. */
export async function connect(settings: TemporalSettings): Promise<Connection> {
  try {
    return await Connection.connect({ ...settings.connection, connectTimeout: connectTimeoutMs })
  } catch (error) {
    throw unreachable(settings, error)
  }
}

/** A client for starting and watching builds. Close its connection at the end. Throws TEMPORAL. */
export async function connectClient(settings: TemporalSettings): Promise<Client> {
  const connection = await connect(settings)
  try {
    await checkNamespace(connection, settings)
    return new Client({ connection, namespace: settings.namespace })
  } catch (error) {
    await connection.close()
    throw error
  }
}

/** TEMPORAL for a namespace that is not there, or not ours to use. Other trouble shows where it is used. */
async function checkNamespace(connection: Connection, settings: TemporalSettings): Promise<void> {
  const { address, namespace } = settings
  try {
    await connection.withDeadline(Date.now() + connectTimeoutMs, () =>
      connection.workflowService.describeNamespace({ namespace }),
    )
  } catch (error) {
    if (isRefusal(error)) throw unreachable(settings, error)
    if (!isGrpcServiceError(error) || error.code !== status.notFound) return
    throw new ShardmillError('TEMPORAL', `the Temporal server at ${address} has no namespace ${namespace}`, {
      hint: `Set TEMPORAL_NAMESPACE to one it has, or make it: \`temporal operator namespace create -n ${namespace}\`.`,
      cause: error,
    })
  }
}

/** gRPC's numbers. */
const status = { notFound: 5, permissionDenied: 7, unauthenticated: 16 }

function isRefusal(error: unknown): error is Error & { readonly details: string } {
  return (
    isGrpcServiceError(error) &&
    [status.permissionDenied, status.unauthenticated].includes(Number(error.code))
  )
}

/** A worker's connection. Throws TEMPORAL, also for the namespace: a worker that is refused one never ends. */
export async function connectWorker(settings: TemporalSettings): Promise<NativeConnection> {
  const client = await connectClient(settings)
  await client.connection.close()
  try {
    return await NativeConnection.connect(settings.connection)
  } catch (error) {
    throw unreachable(settings, error)
  }
}

function unreachable({ address }: Pick<TemporalSettings, 'address'>, error: unknown): ShardmillError {
  if (isRefusal(error)) {
    return new ShardmillError('TEMPORAL', `the Temporal server at ${address} refuses us: ${error.details}`, {
      hint: 'Look at TEMPORAL_API_KEY, TEMPORAL_NAMESPACE and the TEMPORAL_TLS variables.',
      cause: error,
    })
  }
  return new ShardmillError('TEMPORAL', `no Temporal server answers at ${address}`, {
    hint: 'Start one with `shardmill dev`, or say where it is with --temporal ADDRESS or TEMPORAL_ADDRESS.',
    retryable: true,
    cause: error,
  })
}
