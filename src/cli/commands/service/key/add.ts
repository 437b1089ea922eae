import { createPublicKey } from 'node:crypto';

import { addServiceKey } from '../../../../features/service-accounts/keys/add-service-key.ts';
import { parseServiceRef } from '../../../../features/service-accounts/service-account-name.ts';
import { commandCall, type CommandDefinition, operator } from '../../../command.ts';
import { CommandFailure } from '../../../command-failure.ts';
import { exitCodes } from '../../../exit-codes.ts';
import { openDigests } from '../../../open/open-digests.ts';
import { printJson, printLines, printNotice } from '../../../output.ts';
import { readText, readTextFile } from '../../../read-text.ts';
import { serviceKeyDocument } from './list.ts';

const LIMIT_MS = 5_000;
const WHAT = 'the public key';

/** `postern service key add NAME FILE [--json]` */
export const serviceKeyAdd: CommandDefinition = (command) => {
  command
    .argument('<name>', 'the name or the client id of the account')
    .argument('<file>', 'the public key, as a JSON Web Key or in PEM; - for standard input')
    .option('--json', 'print JSON')
    .action(async (name: string, file: string, { json }: { json?: boolean }) => {
      const text = file === '-' ? await readText(process.stdin, WHAT) : await readTextFile(file, WHAT);
      const publicJwk = toJwk(text.trim());
      const key = await openDigests((tools) =>
        addServiceKey(
          tools,
          { account: parseServiceRef(name), publicJwk, actor: operator },
          commandCall(LIMIT_MS),
        ),
      );
      if (json) {
        printJson(serviceKeyDocument(key));
        return;
      }
      printLines([`kid        ${key.kid}`, `algorithm  ${key.algorithm}`]);
      printNotice('Assertions name this kid in their header, or no kid while the account has one key.');
    });
};

/** Node would take the public half out of a private key, and its owner would never learn that it has left its place. */
function toJwk(text: string): string {
  if (!text.startsWith('-----BEGIN')) return text;
  if (text.includes('PRIVATE KEY'))
    throw refused(
      'the file contains a private key',
      'Give only its public half: openssl pkey -in FILE -pubout. Make a new key if this one has left its place.',
    );
  try {
    return JSON.stringify(createPublicKey(text).export({ format: 'jwk' }));
  } catch {
    throw refused('the file holds no public key in PEM', 'Write one with: openssl pkey -in FILE -pubout');
  }
}

function refused(message: string, advice: string): CommandFailure {
  return new CommandFailure(exitCodes.refused, message, advice);
}
