/** How a command ends. Scripts rely on these: a number keeps its meaning for ever, a new meaning gets a new number. */
export const exitCodes = {
  ok: 0,
  unexpected: 1,
  wrongUse: 2,
  settings: 3,
  unavailable: 4,
  refused: 5,
  tokenRefused: 6,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

const meanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  ok: 'done',
  unexpected: 'a fault that Postern did not expect',
  wrongUse:
    'wrong use: an unknown command or option, or an argument that is missing, too much or cannot be read',
  settings:
    'the settings cannot be used, or what they name: data directory, master key, addresses, packages; nothing was started or changed',
  unavailable: 'the database or another server does not answer; try again later',
  refused: 'refused by a rule of the service, or what was named does not exist',
  tokenRefused: 'the inspected token would be refused',
  interrupted: 'interrupted with Ctrl-C',
};

/** The same as a Markdown table, for docs/cli.md. */
export function exitCodesTable(): string {
  const names = Object.keys(exitCodes) as (keyof typeof exitCodes)[];
  const rows = names.map((name) => `| ${exitCodes[name]} | ${meanings[name]} |`);
  return ['| exit code | meaning |', '|---|---|', ...rows, ''].join('\n');
}

/** The list for `postern --help`. */
export function describeExitCodes(): string {
  const names = Object.keys(exitCodes) as (keyof typeof exitCodes)[];
  const lines = names.map((name) => `  ${String(exitCodes[name]).padEnd(5)} ${meanings[name]}`);
  return ['Exit codes:', ...lines].join('\n');
}
