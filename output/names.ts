/** Names of the files that every output folder has. */
export const manifestName = 'manifest.json'
export const provenanceName = 'provenance.jsonl'
export const configName = 'config.json'
export const rejectedName = 'rejected.jsonl'
