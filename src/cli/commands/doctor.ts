import type { CommandDefinition } from '../command.ts';
import { runDiagnostics } from '../doctor/diagnostics.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Finding } from '../doctor/finding.ts';
import { printJson, printLines } from '../output.ts';

const marks = { ok: 'ok  ', warning: 'warn', fault: 'FAIL' } as const;

/** `postern doctor [--json]` */
export const doctor: CommandDefinition = (command) => {
  command
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nEnds as serve would: with the exit code of the first fault that is found. A port in use is only a warning,' +
        '\nsince the Postern that runs may be who holds it.',
    )
    .action(async ({ json }: { json?: boolean }) => {
      const findings = await runDiagnostics();
      if (json)
        printJson(findings.map(({ about, verdict, says, advice }) => ({ about, verdict, says, advice })));
      else printLines(findings.flatMap(lines));
      const fault = findings.find(({ verdict }) => verdict === 'fault');
      if (fault) process.exitCode = fault.exitCode ?? exitCodes.settings;
    });
};

function lines({ about, verdict, says, advice }: Finding): string[] {
  const first = `${marks[verdict]}  ${about.padEnd(12)}  ${says}`;
  return advice === undefined ? [first] : [first, `                    ${advice}`];
}
