import type { Command } from 'commander';

/** The audiences of a service account as options, in the form of the operations. */
export interface AudienceOptions {
  readonly allowedAudiences?: readonly string[];
  readonly ownAudiences?: readonly string[];
  readonly delegationAudiences?: readonly string[];
}

/** Adds `--allowed-audiences`, `--own-audiences` and `--delegation-audiences` to a command. */
export function addAudienceOptions(command: Command): Command {
  return command
    .option(
      '--allowed-audiences <names>',
      'the audiences that it may ask for, separated by commas; at first the default audience',
      parseNames,
    )
    .option('--own-audiences <names>', 'the audiences that it serves; at first none', parseNames)
    .option(
      '--delegation-audiences <names>',
      'the audiences towards which it may act for somebody else; at first none',
      parseNames,
    );
}

/** An empty text is an empty list. */
function parseNames(text: string): readonly string[] {
  return text === '' ? [] : text.split(',').map((name) => name.trim());
}
