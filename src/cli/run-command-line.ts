import { Command, CommanderError } from 'commander';
import { type CommandRow, commands, groups } from './commands.ts';
import { describeExitCodes, exitCodes } from './exit-codes.ts';
import { explainFailure } from './explain-failure.ts';
import { handleOutputErrors, printNotice } from './output.ts';
import { posternVersion } from '../compose/runtime-versions.ts';

/** Runs one command and returns the exit code. Data goes to standard output, messages to standard error. */
export async function runCommandLine(words: readonly string[]): Promise<number> {
  handleOutputErrors();
  const called = words[0] === 'help' ? helpOption(words.slice(1)) : words;
  const program = buildProgram();
  try {
    for (const row of commands) {
      const command = addCommand(program, row);
      if (row.path.every((word, index) => called[index] === word)) (await row.load())(command);
    }
    await program.parseAsync(called, { from: 'user' });
    return Number(process.exitCode ?? exitCodes.ok);
  } catch (error) {
    if (error instanceof CommanderError) return reportParseError(error, called);
    const { exitCode, lines } = explainFailure(error);
    printNotice(...lines);
    return exitCode;
  }
}

function buildProgram(): Command {
  const program = new Command('postern')
    .description('Postern, an authentication service over gRPC.')
    .usage('COMMAND [options]')
    .version(posternVersion(), '--version', 'print the version')
    .helpOption('-h, --help', 'show the help of the command')
    .helpCommand(false)
    .addHelpText(
      'after',
      `\nSettings come from the environment (DATABASE_URL, POSTERN_…).\n\n${describeExitCodes()}`,
    )
    .exitOverride();
  // Its errors arrive as exceptions; reportParseError prints them once, without the values in them.
  program.configureOutput({ outputError: () => undefined });
  return program;
}

function addCommand(program: Command, { path, summary }: CommandRow): Command {
  let parent = program;
  for (const [depth, word] of path.slice(0, -1).entries()) {
    const group = path.slice(0, depth + 1).join(' ');
    parent = parent.commands.find((command) => command.name() === word) ?? addGroup(parent, word, group);
  }
  return parent
    .command(path.at(-1) ?? '')
    .summary(summary)
    .description(summary);
}

function addGroup(parent: Command, name: string, words: string): Command {
  const description = groups[words];
  if (description === undefined) throw new Error(`the command group ${words} has no description`);
  return parent.command(name).description(description).usage('COMMAND [options]').helpCommand(false);
}

function reportParseError(error: CommanderError, words: readonly string[]): number {
  if (error.exitCode === 0) return exitCodes.ok;
  // A group without a verb: commander has printed its help.
  if (error.code === 'commander.help') return exitCodes.wrongUse;
  printNotice(...`postern: ${removeValues(error.message)}`.split('\n'));
  if (words.some((word) => /^--(password|secret|client-secret)(=|$)/.test(word))) {
    printNotice(
      'Secrets are never taken from an argument: the shell history and the process list would show them. Pipe them in.',
    );
  }
  printNotice(`See: ${['postern', ...commandPath(words), '--help'].join(' ')}`);
  return exitCodes.wrongUse;
}

/** Turns `help token inspect` into `token inspect --help`, since only the command that is called is loaded. */
function helpOption(words: readonly string[]): readonly string[] {
  return commandPath(words).length === words.length ? [...words, '--help'] : words;
}

/** The leading words that name a command or a group of commands. */
function commandPath(words: readonly string[]): readonly string[] {
  const known = commands.find((row) => row.path.every((word, index) => words[index] === word))?.path;
  const group = [2, 1]
    .map((count) => words.slice(0, count))
    .find((leading) => Object.hasOwn(groups, leading.join(' ')));
  return known ?? group ?? [];
}

/** Removes values from an error: `--password=hunter2`, `-phunter2` or a token in the place of a command must not be printed. */
function removeValues(message: string): string {
  return message
    .replace(/^error: /, '')
    .replace(/(unknown option '--[^=]*)=.*'/s, "$1'")
    .replace(/(unknown option '-[^-]).+'/s, "$1'")
    .replace(/'[^']{40,}'/g, "'…'");
}
