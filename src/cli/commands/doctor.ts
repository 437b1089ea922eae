import type { CommandDefinition } from '../command.ts';
import { runDiagnostics } from '../doctor/diagnostics.ts';
import { type Finding, findingDocument } from '../doctor/finding.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLines } from '../output.ts';

const LABELS = { ok: 'ok  ', warning: 'warn', fault: 'FAIL' } as const;

/** `postern doctor [--json]` */
export const doctor: CommandDefinition = (command) => {
  command
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nThe exit code is that with which serve would end on the first fault. A port in use is only a warning, because' +
        '\na running Postern may hold it.',
    )
    .action(async ({ json }: { json?: boolean }) => {
      const findings = await runDiagnostics();
      if (json) printJson(findings.map(findingDocument));
      else printLines(findings.flatMap(linesOf));
      const fault = findings.find(({ verdict }) => verdict === 'fault');
      if (fault) process.exitCode = fault.exitCode ?? exitCodes.settings;
    });
};

function linesOf({ check, verdict, message, advice }: Finding): string[] {
  const first = `${LABELS[verdict]}  ${check.padEnd(12)}  ${message}`;
  return advice === undefined ? [first] : [first, `                    ${advice}`];
}
