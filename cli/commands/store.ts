export interface StoreFlags { readonly json?: boolean }
export async function storeLs(..._: unknown[]): Promise<void> {}
export async function storeCheck(..._: unknown[]): Promise<void> {}
export async function storeGc(..._: unknown[]): Promise<void> {}
