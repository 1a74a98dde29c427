export interface PlanFlags { readonly out?: string }
export async function planCommand(..._: unknown[]): Promise<void> {}
