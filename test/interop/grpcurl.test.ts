import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { startTestService, type TestService } from '../support/test-service.ts';
import { runTool } from './run-tool.ts';
import { describeWith } from './tool.ts';

const protoset = fileURLToPath(new URL('../../proto/postern.binpb', import.meta.url));
const protoDir = fileURLToPath(new URL('../../proto', import.meta.url));
const email = 'ann@example.com';
const password = 'correct horse battery';

describeWith('grpcurl', 'grpcurl', () => {
  let service: TestService;

  beforeAll(async () => {
    service = await startTestService();
    await service.addUser(email, password, ['reader']);
  });
  afterAll(() => service.stop());

  const grpcurl = (...words: string[]) => runTool('grpcurl', ['-plaintext', ...words]);

  async function ask(method: string, request: object, ...options: string[]): Promise<unknown> {
    const words = [...options, '-d', JSON.stringify(request), service.grpcAddress, method];
    const { exitCode, stdout, stderr } = await grpcurl(...words);
    if (exitCode !== 0) throw new Error(stderr);
    return JSON.parse(stdout);
  }

  test('lists and describes the contract by reflection', async () => {
    const { stdout } = await grpcurl(service.grpcAddress, 'list');
    expect(stdout.split('\n')).toEqual(
      expect.arrayContaining(['grpc.health.v1.Health', 'postern.v1.AuthService']),
    );
    const { stdout: described } = await grpcurl(service.grpcAddress, 'describe', 'postern.v1.AuthService');
    expect(described).toContain('rpc Login ( .postern.v1.LoginRequest ) returns ( .postern.v1.TokenSet );');
    const { stdout: message } = await grpcurl(service.grpcAddress, 'describe', 'postern.v1.TokenSet');
    expect(message).toContain('string access_token = 1;');
  });

  test('logs in and verifies the token, with reflection and from the proto files', async () => {
    for (const options of [[], ['-import-path', protoDir, '-proto', 'postern/v1/auth.proto']]) {
      const login = 'postern.v1.AuthService/Login';
      const { accessToken } = (await ask(login, { email, password }, ...options)) as { accessToken: string };
      const verify = 'postern.v1.AuthService/VerifyToken';
      const bearer = ['-H', `authorization: Bearer ${accessToken}`, ...options];
      expect(await ask(verify, {}, ...bearer)).toMatchObject({ roles: ['reader'], subjectType: 'USER' });
    }
  });

  test('reads the details of a refusal', async () => {
    const refused = JSON.stringify({ email, password: 'a wrong password' });
    const { exitCode, stderr } = await grpcurl(
      ...['-d', refused, service.grpcAddress, 'postern.v1.AuthService/Login'],
    );
    expect(exitCode).toBe(64 + 16);
    expect(stderr).toContain('Code: Unauthenticated');
    expect(stderr).toContain('"@type": "type.googleapis.com/google.rpc.ErrorInfo"');
    expect(stderr).toContain('"reason": "INVALID_CREDENTIALS"');
    const empty = await grpcurl('-d', '{}', service.grpcAddress, 'postern.v1.AuthService/Login');
    expect(empty.stderr).toContain('Code: InvalidArgument');
    expect(empty.stderr).toContain('"@type": "type.googleapis.com/google.rpc.BadRequest"');
    expect(empty.stderr).toContain('"field": "email"');
  });

  test('reads the details of a refusal in production, where reflection is off, from the descriptor set', async () => {
    const silent = await startTestService({ POSTERN_REFLECTION: 'off' }, service.database);
    try {
      const login = (...options: string[]) =>
        grpcurl(...options, '-d', '{}', silent.grpcAddress, 'postern.v1.AuthService/Login');
      const refused = await login('-protoset', protoset);
      expect(refused.stderr).toContain('"@type": "type.googleapis.com/google.rpc.ErrorInfo"');
      expect(refused.stderr).toContain('"reason": "FIELD_INVALID"');
      expect(refused.stderr).toContain('"field": "email"');
      // The proto file of the service alone does not say what the details are.
      const withoutSet = await login('-import-path', protoDir, '-proto', 'postern/v1/auth.proto');
      expect(withoutSet.stderr).not.toContain('"FIELD_INVALID"');
      const { stdout } = await grpcurl('-protoset', protoset, 'list');
      expect(stdout.split('\n')).toContain('postern.v1.AdminService');
    } finally {
      await silent.stop();
    }
  });

  test('calls the health service', async () => {
    const check = 'grpc.health.v1.Health/Check';
    for (const name of ['', 'postern.v1.AuthService'])
      expect(await ask(check, { service: name })).toEqual({ status: 'SERVING' });
  });
});
