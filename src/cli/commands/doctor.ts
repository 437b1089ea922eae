import type { CommandDefinition } from '../command-definition.ts';
import { examine } from '../examination.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Finding } from '../finding.ts';
import { printJson, printLines } from '../output.ts';

const marks = { ok: 'ok  ', warning: 'warn', fault: 'FAIL' } as const;

/** `postern doctor [--json]` */
export const doctor: CommandDefinition = (command) => {
  command.option('--json', 'print JSON').action(async ({ json }: { json?: boolean }) => {
    const findings = await examine();
    if (json) printJson(findings);
    else printLines(findings.flatMap(lines));
    const fault = findings.find(({ verdict }) => verdict === 'fault');
    if (!fault) return;
    if (fault.about === 'settings') process.exitCode = exitCodes.settings;
    else if (fault.about === 'database') process.exitCode = exitCodes.unavailable;
    else process.exitCode = exitCodes.refused;
  });
};

function lines({ about, verdict, says, advice }: Finding): string[] {
  const first = `${marks[verdict]}  ${about.padEnd(12)}  ${says}`;
  return advice === undefined ? [first] : [first, `                    ${advice}`];
}
