import type { CommandDefinition } from '../command.ts';
import { runDiagnostics, runSidecarDiagnostics } from '../doctor/diagnostics.ts';
import { type Finding, findingDocument } from '../doctor/finding.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLines } from '../output.ts';

const LABELS = { ok: 'ok  ', warning: 'warn', fault: 'FAIL' } as const;

/** `postern doctor [--upstream ADDRESS] [--json]` */
export const doctor: CommandDefinition = (command) => {
  command
    .option('--upstream <address>', 'check what postern sidecar --upstream <address> needs, instead of serve')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nThe exit code is that with which serve would end on the first fault. A port in use is only a warning, because' +
        '\na running Postern may hold it.',
    )
    .action(async ({ upstream, json }: { upstream?: string; json?: boolean }) => {
      const findings =
        upstream === undefined ? await runDiagnostics() : await runSidecarDiagnostics(upstream);
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
