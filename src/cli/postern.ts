#!/usr/bin/env node
import { runCommandLine } from './run-command-line.ts';

// Not process.exit(): output that is still buffered for a pipe must be written first.
process.exitCode = await runCommandLine(process.argv.slice(2));
