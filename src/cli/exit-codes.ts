/** The exit codes of all commands. Scripts rely on them: a number never changes its meaning, a new meaning gets a new number. */
export const exitCodes = {
  ok: 0,
  unexpected: 1,
  wrongUse: 2,
  settings: 3,
  unavailable: 4,
  refused: 5,
  tokenRefused: 6,
  policyFault: 7,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

const meanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  ok: 'success',
  unexpected: 'an unexpected error',
  wrongUse:
    'wrong usage: an unknown command or option, or an argument that is missing, superfluous or malformed',
  settings:
    'the settings are invalid, or something they name is unusable (data directory, master key, address, package); nothing was started or changed',
  unavailable: 'the database or another server does not respond; try again later',
  refused: 'refused by a rule of the service, or the named object does not exist',
  tokenRefused: 'the inspected token would be refused',
  policyFault: 'the policy file is invalid, or does not fit the methods',
  interrupted: 'interrupted with Ctrl-C',
};

/** The exit codes as a Markdown table, for docs/cli.md. */
export function exitCodesTable(): string {
  const names = Object.keys(exitCodes) as (keyof typeof exitCodes)[];
  const rows = names.map((name) => `| ${exitCodes[name]} | ${meanings[name]} |`);
  return ['| exit code | meaning |', '|---|---|', ...rows, ''].join('\n');
}

/** The exit codes as a list, for `postern --help`. */
export function describeExitCodes(): string {
  const names = Object.keys(exitCodes) as (keyof typeof exitCodes)[];
  const lines = names.map((name) => `  ${String(exitCodes[name]).padEnd(5)} ${meanings[name]}`);
  return ['Exit codes:', ...lines].join('\n');
}
