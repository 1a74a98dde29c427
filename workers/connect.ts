/**
 * Where Temporal is: settings as Temporal's own tools read them (environment first, then a profile of
 * `temporal.toml`), a flag before both. One error for everything that keeps us from it.
 */
import { Client, Connection } from '@temporalio/client'
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

/** A client for starting and watching builds. Close its connection at the end. */
export async function connectClient(settings: TemporalSettings): Promise<Client> {
  try {
    const connection = await Connection.connect({ ...settings.connection, connectTimeout: connectTimeoutMs })
    return new Client({ connection, namespace: settings.namespace })
  } catch (error) {
    throw unreachable(settings, error)
  }
}

/** A worker's connection. */
export async function connectWorker(settings: TemporalSettings): Promise<NativeConnection> {
  try {
    return await NativeConnection.connect(settings.connection)
  } catch (error) {
    throw unreachable(settings, error)
  }
}

export function unreachable({ address }: Pick<TemporalSettings, 'address'>, error: unknown): ShardmillError {
  return new ShardmillError('TEMPORAL', `no Temporal server answers at ${address}`, {
    hint: 'Start one with `shardmill dev`, or say where it is with --temporal ADDRESS or TEMPORAL_ADDRESS.',
    retryable: true,
    cause: error,
  })
}
