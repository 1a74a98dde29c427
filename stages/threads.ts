/** Stages a thread has in hand: while one waits for the disk (every blob is synced), the other one works. */
export const tasksPerThread = 2
/** Copies to the output that it has in hand beside them: they do little but wait, and must not keep stages out. */
export const copiesPerThread = 2
