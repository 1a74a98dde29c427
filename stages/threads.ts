/** Stages a thread has in hand: while one waits for the disk (every blob is synced), the other one works. */
export const tasksPerThread = 2
