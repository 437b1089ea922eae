import { wrongUse } from '../command-failure.ts';
import type { CommandDefinition } from '../command.ts';
import { runDiagnostics, runSidecarDiagnostics } from '../doctor/diagnostics.ts';
import { type Finding, findingDocument } from '../doctor/finding.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLines } from '../output.ts';

const LABELS = { ok: 'ok  ', warning: 'warn', fault: 'FAIL' } as const;

interface DoctorOptions {
  readonly upstream?: string;
  readonly tokenUpstream?: string;
  readonly json?: boolean;
}

/** `postern doctor [--upstream ADDRESS [--token-upstream ADDRESS]] [--json]` */
export const doctor: CommandDefinition = (command) => {
  command
    .option('--upstream <address>', 'check what postern sidecar --upstream <address> needs, instead of serve')
    .option('--token-upstream <address>', 'with --upstream: the same option of postern sidecar')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nThe exit code is that with which serve or sidecar would end on the first fault. A port in use is only a warning, because' +
        '\na running Postern may hold it.',
    )
    .action(async ({ upstream, tokenUpstream, json }: DoctorOptions) => {
      if (upstream === undefined && tokenUpstream !== undefined)
        throw wrongUse('--token-upstream is used only with --upstream', 'Add --upstream, or remove it.');
      const findings =
        upstream === undefined
          ? await runDiagnostics()
          : await runSidecarDiagnostics({ trust: upstream, tokens: tokenUpstream ?? upstream });
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
