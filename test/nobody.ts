/** Whom file permissions stop: undefined, whoever runs the tests; but root may do everything, and then somebody else. */
export const nobody = process.getuid?.() === 0 ? 65_534 : undefined

/** For the options of `spawn`. */
export function asUser(uid: number | undefined): { readonly uid?: number; readonly gid?: number } {
  return uid === undefined ? {} : { uid, gid: uid }
}
