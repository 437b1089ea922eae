import type { Command } from 'commander';

/** Gives a command its arguments, options and action. The action returns when the work is done, or throws. */
export type CommandDefinition = (command: Command) => void;
