import { Rejected } from '../../../domain/rejection.ts';
import { withoutFinalLineEnds } from '../../../domain/decode-text.ts';
import {
  confirmTotpForUser,
  enrolTotpForUser,
} from '../../../features/second-factors/totp/enrol-for-user.ts';
import type { TotpEnrolment } from '../../../features/second-factors/totp/enrol-totp.ts';
import type { UserRef } from '../../../features/users/user-ref.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { CommandFailure } from '../../command-failure.ts';
import { exitCodes } from '../../exit-codes.ts';
import { openTotp } from '../../open/open-totp.ts';
import { printJson, printLines, printNotice } from '../../output.ts';
import { ownTerminal, Prompt } from '../../prompt.ts';
import { qrCodeLines } from '../../qr-code.ts';
import { readText } from '../../read-text.ts';
import { addUserOptions, type UserOptions, userRefOf } from './user-options.ts';

const LIMIT_MS = 5_000;
/** A typing error, or the clock of the phone; whoever needs more runs the command again. */
const MAX_TRIES = 3;

interface Options extends UserOptions {
  readonly name: string;
  readonly confirm?: string;
  readonly json?: boolean;
}

/** `postern user enrol-totp (--email E | --external-id X) [--name N] [--confirm ID] [--json]` */
export const userEnrolTotp: CommandDefinition = (command) => {
  addUserOptions(command)
    .option('--name <text>', 'a name for the factor, such as that of the device', 'authenticator app')
    .option('--confirm <id>', 'confirm a factor that the command made before, by a code on standard input')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nAt a terminal it shows a QR code and asks for the first code. In a script it prints the secret and ends; within ten' +
        '\nminutes the script confirms the factor with --confirm and the code on standard input. A confirmed factor ends the' +
        "\nuser's sessions, and the first one comes with ten recovery codes, which are not shown again.",
    )
    .action(run);
};

async function run({ name, confirm, json = false, ...options }: Options): Promise<void> {
  const user = userRefOf(options);
  const isTerminal = ownTerminal().input.isTTY === true;
  if (confirm !== undefined) {
    const code = isTerminal
      ? await askOnce()
      : withoutFinalLineEnds(await readText(process.stdin, 'the code'));
    printConfirmed(await confirmFactor(user, confirm, code), json);
    return;
  }
  const enrolment = await openTotp((tools) =>
    enrolTotpForUser(tools, { user, name, actor: operator }, commandCall(LIMIT_MS)),
  );
  if (isTerminal && !json) await confirmAtTerminal(user, enrolment);
  else printPending(enrolment, json);
}

function confirmFactor(user: UserRef, factorId: string, code: string) {
  return openTotp((tools) =>
    confirmTotpForUser(tools, { user, factorId, code, actor: operator }, commandCall(LIMIT_MS)),
  ).catch((error: unknown) => {
    throw isWrongCode(error) ? wrongCode() : error;
  });
}

const isWrongCode = (error: unknown) =>
  error instanceof Rejected && error.rejection.kind === 'second-factor-invalid';

function wrongCode(): CommandFailure {
  return new CommandFailure(
    exitCodes.refused,
    'the code is wrong or too old; the factor is not confirmed',
    'Check the clocks of the device and of this machine, and give the code that the app shows now.',
  );
}

async function confirmAtTerminal(
  user: UserRef,
  { factorId, secret, otpauthUri }: TotpEnrolment,
): Promise<void> {
  // Raw: printNotice would escape the colours. The lines hold nothing else.
  process.stderr.write(`${(await qrCodeLines(otpauthUri.reveal())).join('\n')}\n`);
  printNotice('Scan this code with an authenticator app, or type the secret:', secret.reveal());
  const prompt = new Prompt(ownTerminal());
  try {
    for (let tries = 1; ; tries += 1) {
      const code = await prompt.ask('Code that the app shows: ', { hidden: false });
      try {
        printConfirmed(await confirmFactor(user, factorId, code), false);
        return;
      } catch (error) {
        if (!(error instanceof CommandFailure) || tries === MAX_TRIES) throw error;
        printNotice(error.message);
      }
    }
  } finally {
    prompt.close();
  }
}

async function askOnce(): Promise<string> {
  const prompt = new Prompt(ownTerminal());
  try {
    return await prompt.ask('Code that the app shows: ', { hidden: false });
  } finally {
    prompt.close();
  }
}

function printPending({ factorId, secret, otpauthUri, expiresAt }: TotpEnrolment, json: boolean): void {
  const expires = expiresAt.toISOString();
  if (json)
    printJson({
      factor_id: factorId,
      secret: secret.reveal(),
      otpauth_uri: otpauthUri.reveal(),
      expires_at: expires,
    });
  else printLines([factorId, secret.reveal(), otpauthUri.reveal()]);
  printNotice(
    `The factor is not confirmed yet. Until ${expires}, run the command for the same user with --confirm ${factorId} and a code of it on standard input.`,
  );
}

function printConfirmed(
  { recoveryCodes, endedSessions }: Awaited<ReturnType<typeof confirmTotpForUser>>,
  json: boolean,
): void {
  const codes = recoveryCodes.map((code) => code.reveal());
  if (json) printJson({ recovery_codes: codes, ended_sessions: endedSessions });
  else printLines(codes);
  printNotice(
    `The factor is confirmed; ${endedSessions} ${endedSessions === 1 ? 'session has' : 'sessions have'} ended.`,
    ...(codes.length === 0
      ? []
      : ['Each recovery code above lets the user log in once without the device. They are not shown again.']),
  );
}
