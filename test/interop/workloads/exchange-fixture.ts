import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { status } from '@grpc/grpc-js';

import { runHere } from '../../support/run-here.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { masterKey, type Outcome, startTestService, type TestService } from '../../support/test-service.ts';

/** The audience that outside tokens are requested for. */
export const OWN = 'https://postern.example';
const settings = { POSTERN_ISSUER: OWN, POSTERN_ISSUER_NETWORKS: '127.0.0.1/32' };

/** A service that may fetch keys from this machine, and the command line that an operator uses beside it. */
export interface ExchangeFixture {
  readonly database: TestDatabase;
  readonly service: TestService;
  readonly folder: string;
  /** Runs `postern WORDS --json`. */
  json(...words: string[]): Promise<Record<string, unknown>>;
  /** The step at which `postern token explain-exchange` says that a token is refused; null for a valid one. */
  refusedStep(token: string): Promise<string | null>;
  exchange(token: string): Promise<Outcome>;
  /** OK or the reason of the refusal. */
  verdict(token: string): Promise<string>;
  /** What VerifyToken says of the token that another one is exchanged for. */
  verified(token: string): Promise<Record<string, unknown>>;
  close(): Promise<void>;
}

export async function openExchangeFixture(more: Record<string, string> = {}): Promise<ExchangeFixture> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-exchange-'));
  const database = await createTestDatabase();
  const service = await startTestService({ ...settings, ...more }, database);
  const environment = { DATABASE_URL: database.url, POSTERN_MASTER_KEY: masterKey, ...settings };
  const exchange = (token: string) =>
    service.call('postern.v1.AuthService/ExchangeToken', { subject_token: token });
  return {
    database,
    service,
    folder,
    async json(...words) {
      const { exitCode, stdout, stderr } = await runHere([...words, '--json'], { environment });
      if (exitCode !== 0) throw new Error(stderr);
      return JSON.parse(stdout) as Record<string, unknown>;
    },
    async refusedStep(token) {
      const { stdout } = await runHere(['token', 'explain-exchange', '--json'], {
        environment,
        stdin: token,
      });
      return (JSON.parse(stdout) as { refused: { step: string } | null }).refused?.step ?? null;
    },
    exchange,
    async verdict(token) {
      const { code, reason } = await exchange(token);
      return code === status.OK ? 'OK' : (reason ?? status[code]);
    },
    async verified(token) {
      return verifiedBy(service, await exchange(token));
    },
    async close() {
      await service.stop();
      await database.drop();
      rmSync(folder, { recursive: true });
    },
  };
}

/** What VerifyToken says of an issued token. */
export async function verifiedBy(
  { call }: Pick<TestService, 'call'>,
  { response, message }: Outcome,
): Promise<Record<string, unknown>> {
  if (!response) throw new Error(message);
  const bearer = { authorization: `Bearer ${String(response['access_token'])}` };
  const verification = await call('postern.v1.AuthService/VerifyToken', {}, bearer);
  if (!verification.response) throw new Error(verification.message);
  return verification.response;
}

export function claimsOf(token: string): Record<string, unknown> {
  return partOf(token, 1);
}

export function headerOf(token: string): Record<string, unknown> {
  return partOf(token, 0);
}

function partOf(token: string, index: number): Record<string, unknown> {
  const text = Buffer.from(token.split('.')[index] ?? '', 'base64url').toString();
  return JSON.parse(text) as Record<string, unknown>;
}

/** The token with the last quarter of its signature cut off. */
export function withCutSignature(token: string): string {
  const [header = '', claims = '', signature = ''] = token.split('.');
  return `${header}.${claims}.${signature.slice(0, (signature.length >> 4) * 12)}`;
}

/** The token with `alg: none` and no check of its signature possible. */
export function withoutAlgorithm(token: string): string {
  const [, claims = '', signature = ''] = token.split('.');
  const header = Buffer.from(JSON.stringify({ ...headerOf(token), alg: 'none' })).toString('base64url');
  return `${header}.${claims}.${signature}`;
}
