#!/usr/bin/env node
import { runCommandLine } from './run-command-line.ts';

// The exit code is set, not called for: output that is still on its way into a pipe must arrive.
process.exitCode = await runCommandLine(process.argv.slice(2));
