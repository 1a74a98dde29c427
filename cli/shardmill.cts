#!/usr/bin/env node
/** The command's first step: what must be set before Node does anything else. What follows is main.ts. */
require('./disk-threads.cjs')

void import('./main.js')
