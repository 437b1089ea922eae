import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { type CommandRow, commands, groups } from './commands.ts';
import { describeExitCodes, exitCodes } from './exit-codes.ts';
import { explainFailure } from './explain-failure.ts';
import { outliveClosedPipes, tell } from './output.ts';

/** Runs one command; gives the exit code. Data goes to standard output, everything that is said to standard error. */
export async function runCommandLine(words: readonly string[]): Promise<number> {
  outliveClosedPipes();
  const called = words[0] === 'help' ? asksForHelp(words.slice(1)) : words;
  const program = buildProgram();
  try {
    for (const row of commands) {
      const command = addCommand(program, row);
      if (row.path.every((word, index) => called[index] === word)) (await row.load())(command);
    }
    await program.parseAsync(called, { from: 'user' });
    return Number(process.exitCode ?? exitCodes.ok);
  } catch (error) {
    if (error instanceof CommanderError) return endOfParsing(error, called);
    const { exitCode, lines } = explainFailure(error);
    tell(...lines);
    return exitCode;
  }
}

function buildProgram(): Command {
  const program = new Command('postern')
    .description('Postern, an authentication service over gRPC.')
    .usage('COMMAND [options]')
    .version(ownVersion(), '--version', 'print the version')
    .helpOption('-h, --help', 'explain the command')
    .helpCommand(false)
    .addHelpText(
      'after',
      `\nSettings come from the environment (DATABASE_URL, POSTERN_…).\n\n${describeExitCodes()}`,
    )
    .exitOverride();
  // Its errors come back as exceptions and are told once, without the values that stand in them.
  program.configureOutput({ outputError: () => undefined });
  return program;
}

function addCommand(program: Command, { path: [first, second], summary }: CommandRow): Command {
  if (second === undefined) return program.command(first).summary(summary).description(summary);
  const group = program.commands.find((command) => command.name() === first) ?? addGroup(program, first);
  return group.command(second).summary(summary).description(summary);
}

function addGroup(program: Command, name: string): Command {
  const about = groups[name];
  if (about === undefined) throw new Error(`the command group ${name} has no line in the table`);
  return program.command(name).description(about).usage('COMMAND [options]').helpCommand(false);
}

function endOfParsing(error: CommanderError, words: readonly string[]): number {
  if (error.exitCode === 0) return exitCodes.ok;
  // A group without its verb: the help that was printed says all.
  if (error.code === 'commander.help') return exitCodes.wrongUse;
  tell(...`postern: ${withoutValues(error.message)}`.split('\n'));
  if (words.some((word) => /^--(password|secret|client-secret)(=|$)/.test(word))) {
    tell(
      'Secrets are never taken from an argument, which shell history and process list keep: pipe them in.',
    );
  }
  tell(`See: ${['postern', ...wordsOfCommand(words), '--help'].join(' ')}`);
  return exitCodes.wrongUse;
}

/** `help token inspect` is `token inspect --help`: only a command that is called by its words is loaded. */
function asksForHelp(words: readonly string[]): readonly string[] {
  return wordsOfCommand(words).length === words.length ? [...words, '--help'] : words;
}

/** As many of the first words as name a command or a group of them. */
function wordsOfCommand(words: readonly string[]): readonly string[] {
  const known = commands.find((row) => row.path.every((word, index) => words[index] === word))?.path;
  const [first = ''] = words;
  return known ?? (Object.hasOwn(groups, first) ? [first] : []);
}

/** `--password=hunter2`, `-phunter2` and a token pasted where a command belongs must not be repeated on the screen. */
function withoutValues(message: string): string {
  return message
    .replace(/^error: /, '')
    .replace(/(unknown option '--[^=]*)=.*'/s, "$1'")
    .replace(/(unknown option '-[^-]).+'/s, "$1'")
    .replace(/'[^']{40,}'/g, "'…'");
}

function ownVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return (manifest as { version: string }).version;
}
