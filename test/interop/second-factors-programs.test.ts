import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { startTestService, type TestService } from '../support/test-service.ts';
import { oathtoolCode, pyotpCode } from './authenticator-apps.ts';
import { runTool } from './run-tool.ts';
import { describeWith } from './tool.ts';

const buf = fileURLToPath(new URL('../../node_modules/.bin/buf', import.meta.url));
const protoset = fileURLToPath(new URL('../../proto/postern.binpb', import.meta.url));
const password = 'correct horse battery';
const login = 'postern.v1.AuthService/Login';

interface ProgramEnd {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describeWith('grpcurl', 'second factors with programs that know nothing of Postern', () => {
  let service: TestService;
  let people = 0;

  beforeAll(async () => {
    service = await startTestService();
  });
  afterAll(() => service.stop());

  const programs: Readonly<Record<string, (request: object) => Promise<ProgramEnd>>> = {
    grpcurl: (request) =>
      runTool('grpcurl', ['-plaintext', '-d', JSON.stringify(request), service.grpcAddress, login]),
    'buf curl': (request) => {
      const options = ['--protocol', 'grpc', '--http2-prior-knowledge', '--schema', protoset];
      const words = [
        'curl',
        ...options,
        '-d',
        JSON.stringify(request),
        `http://${service.grpcAddress}/${login}`,
      ];
      return promisify(execFile)(buf, words).then(
        ({ stdout, stderr }) => ({ exitCode: 0, stdout, stderr }),
        (error: unknown) => {
          const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
          return { exitCode: code, stdout, stderr };
        },
      );
    },
  };

  /** A user with an authenticator app. @returns also the recovery codes */
  async function enrol() {
    const email = `person${(people += 1)}@example.com`;
    await service.addUser(email, password, ['reader']);
    const call = async (method: string, request: object, token: string) => {
      const bearer = { authorization: `Bearer ${token}` };
      const outcome = await service.call(`postern.v1.AuthService/${method}`, { ...request }, bearer);
      if (!outcome.response) throw new Error(outcome.message);
      return outcome.response;
    };
    const token = await service.tokenOf(email, password);
    const enrolment = await call('EnrolTotp', { name: 'Phone' }, token);
    const { factor_id: factorId, secret, otpauth_uri: uri } = enrolment as Record<string, string>;
    if (secret === undefined || uri === undefined) throw new Error('there is no secret');
    const confirmed = await call('ConfirmFactor', { factor_id: factorId, code: await pyotpCode(uri) }, token);
    return { email, secret, recoveryCodes: confirmed['recovery_codes'] as string[] };
  }

  test.each(Object.entries(programs))(
    'M69 %s logs in with the code of another program in one call, and reads what is missing',
    async (_name, logIn) => {
      const { email, secret, recoveryCodes } = await enrol();
      const refused = await logIn({ email, password });
      expect(refused.exitCode).not.toBe(0);
      expect(detailsIn(refused)).toContain('SECOND_FACTOR_REQUIRED');
      expect(detailsIn(refused)).toMatch(/factors\W+totp,recovery/);

      const code = await oathtoolCode(secret, 1);
      const { exitCode, stdout } = await logIn({ email, password, code });
      expect(exitCode).toBe(0);
      const { accessToken = '' } = JSON.parse(stdout) as { accessToken?: string };
      const verified = await service.call('postern.v1.AuthService/VerifyToken', {
        access_token: accessToken,
      });
      expect(verified.response).toMatchObject({ roles: ['reader'], acr: 'aal2', amr: ['pwd', 'otp'] });

      const again = await logIn({ email, password, code });
      expect(again.exitCode).not.toBe(0);
      expect(detailsIn(again)).toContain('SECOND_FACTOR_INVALID');
      // As people copy it: in capitals, and with spaces.
      const copied = (recoveryCodes[0] ?? '').toUpperCase().replace('-', ' ');
      expect((await logIn({ email, password, code: copied })).exitCode).toBe(0);
    },
  );

  test('M67 a service that is only known by an IP address says why it has no passkeys', async () => {
    const origin = 'http://127.0.0.1:3000';
    await expect(startTestService({ POSTERN_PASSKEY_ORIGINS: origin }, service.database)).rejects.toThrow(
      /POSTERN_PASSKEY_ORIGINS.*IP address/,
    );
    const numbered = await startTestService({ POSTERN_ISSUER: 'https://192.0.2.1' }, service.database);
    try {
      const begin = 'postern.v1.AuthService/BeginPasskeyLogin';
      const refused = await runTool('grpcurl', ['-plaintext', '-d', '{}', numbered.grpcAddress, begin]);
      expect(refused.stderr).toContain('Code: FailedPrecondition');
      expect(refused.stderr).toContain('"reason": "PASSKEYS_DISABLED"');
      expect(refused.stderr).toMatch(/Message: .*IP address.*POSTERN_PASSKEY_ORIGINS/);
    } finally {
      await numbered.stop();
    }
  });
});

/** What a program prints of a refusal, with the details that `buf curl` leaves encoded. */
function detailsIn({ stdout, stderr }: ProgramEnd): string {
  const printed = stdout + stderr;
  const encoded = [...printed.matchAll(/"value": "([\w+/]+=*)"/g)].map(([, value = '']) => value);
  return [printed, ...encoded.map((value) => Buffer.from(value, 'base64').toString('latin1'))].join('\n');
}
