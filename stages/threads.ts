/** Stages a thread has in hand: while others wait for the disk (every blob is synced), one works. */
export const tasksPerThread = 3
