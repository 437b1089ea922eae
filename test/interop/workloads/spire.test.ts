import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { createAuthority, writeIssued } from '../../support/certificates.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { invoke, type Outcome, startTestService, type TestService } from '../../support/test-service.ts';
import { describeWith } from '../tool.ts';
import { until } from '../until.ts';
import {
  claimsOf,
  type ExchangeFixture,
  headerOf,
  openExchangeFixture,
  OWN,
  verifiedBy,
  withCutSignature,
  withoutAlgorithm,
} from './exchange-fixture.ts';
import { type RunningSpire, startSpire, TRUST_DOMAIN, type X509Svid } from './running-spire.ts';

const BILLING = `${TRUST_DOMAIN}/shop/billing`;
const ORDERS = `${TRUST_DOMAIN}/shop/orders`;
/** Agents learn of changes every 5 seconds, and an unknown key is asked for at most once in 10. */
const ROTATION_LIMIT_MS = 40_000;

describeWith('spire', 'SVIDs of a real SPIRE server and agent', () => {
  const authority = createAuthority('web');
  let fixture: ExchangeFixture;
  const cleanups: (() => Promise<void>)[] = [];
  let storage: TestDatabase;
  let spire: RunningSpire;
  let accountId: string;
  beforeAll(async () => {
    fixture = await openExchangeFixture();
    cleanups.push(() => fixture.close());
    storage = await createTestDatabase({ empty: true });
    cleanups.push(() => storage.drop());
    spire = await startSpire(fixture.folder, authority, storage.url);
    cleanups.push(() => spire.stop());
    await spire.register(BILLING);
    const caFile = join(fixture.folder, 'web-ca.pem');
    writeFileSync(caFile, authority.cert);
    accountId = String((await fixture.json('service', 'create', 'billing', '--role', 'reader'))['client_id']);
    await fixture.json(
      ...['issuer', 'add', TRUST_DOMAIN, '--kind', 'spiffe'],
      ...['--jwks-url', spire.bundleUrl, '--ca', caFile],
    );
    await fixture.json('service', 'bind', 'billing', '--issuer', TRUST_DOMAIN, '--claim', `sub=${BILLING}`);
  }, 120_000);
  afterAll(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  test('a JWT-SVID is exchanged, with the keys of the bundle endpoint', async () => {
    const token = await spire.jwtSvidOf(BILLING, OWN);
    expect(headerOf(token)).toMatchObject({ alg: 'ES256', typ: 'JWT' });
    // Found by its trust domain: there is no iss.
    expect(Object.keys(claimsOf(token)).sort()).toEqual(['aud', 'exp', 'iat', 'sub']);
    expect(await fixture.verified(token)).toMatchObject({
      subject: accountId,
      subject_name: 'billing',
      subject_type: 'SERVICE',
      roles: ['reader'],
    });
  });

  test('a wrong audience, another identity, a cut signature and alg none are refused', async () => {
    const token = await spire.jwtSvidOf(BILLING, OWN);
    expect(await fixture.verdict(await spire.jwtSvidOf(BILLING, 'elsewhere'))).toBe('TOKEN_CLAIMS_INVALID');
    expect(await fixture.verdict(withCutSignature(token))).toBe('TOKEN_SIGNATURE_INVALID');
    expect(await fixture.verdict(withoutAlgorithm(token))).toBe('TOKEN_ALG_NOT_ALLOWED');
    await spire.register(ORDERS);
    expect(await fixture.verdict(await spire.jwtSvidOf(ORDERS, OWN))).toBe('IDENTITY_NOT_BOUND');
    await spire.unregister(ORDERS);
  }, 90_000);

  test('after SPIRE has replaced its JWT authority, new SVIDs are accepted and former ones refused', async () => {
    const before = await spire.jwtSvidOf(BILLING, OWN);
    expect(await fixture.verdict(before)).toBe('OK');
    const revokeFormer = await spire.replaceAuthority('jwt');
    await revokeFormer();
    // Another list of audiences, so that the agent does not answer from its cache.
    const after = await spire.jwtSvidOf(BILLING, OWN, 'elsewhere');
    expect(headerOf(after)['kid']).not.toBe(headerOf(before)['kid']);
    await until(async () => (await fixture.verdict(after)) === 'OK', ROTATION_LIMIT_MS);
    expect(await fixture.verdict(before)).toBe('TOKEN_KEY_UNKNOWN');
  }, 90_000);

  test('with a pasted bundle, SVIDs of a new authority are refused until it is pasted again', async () => {
    const file = join(fixture.folder, 'bundle.json');
    const paste = async () => {
      writeFileSync(file, await spire.bundle());
      const { keys_from: from } = await fixture.json('issuer', 'set-keys', TRUST_DOMAIN, '--jwks', file);
      expect(from).toBe('static');
    };
    await paste();
    const before = await spire.jwtSvidOf(BILLING, OWN, 'pasted');
    expect(await fixture.verdict(before)).toBe('OK');
    const revokeFormer = await spire.replaceAuthority('jwt');
    await revokeFormer();
    const after = await spire.jwtSvidOf(BILLING, OWN, 'pasted again');
    expect(await fixture.verdict(after)).toBe('TOKEN_KEY_UNKNOWN');
    await paste();
    expect(await fixture.verdict(after)).toBe('OK');
    expect(await fixture.verdict(before)).toBe('TOKEN_KEY_UNKNOWN');
  });

  describe('an X509-SVID as the client certificate', () => {
    const listener = createAuthority('listener');
    let service: TestService;
    let clientCaFile: string;
    beforeAll(async () => {
      clientCaFile = join(fixture.folder, 'client-ca.pem');
      writeFileSync(clientCaFile, (await spire.x509Svid()).bundle);
      const { cert, key } = writeIssued(fixture.folder, 'listener', listener.issue({}));
      const tls = { POSTERN_TLS_CERT: cert, POSTERN_TLS_KEY: key, POSTERN_TLS_CLIENT_CA: clientCaFile };
      service = await startTestService({ ...tls, POSTERN_ISSUER: OWN }, fixture.database);
      cleanups.push(() => service.stop());
    });

    /** ExchangeToken without a subject token. */
    async function exchangeWith({ cert, key }: X509Svid): Promise<Outcome> {
      const ca = Buffer.from(listener.cert);
      const credentials = grpc.credentials.createSsl(ca, Buffer.from(key), Buffer.from(cert));
      const client = new grpc.Client(service.grpcAddress, credentials);
      const deadline = { deadline: Date.now() + 5_000 };
      const request = invoke(client, 'postern.v1.AuthService/ExchangeToken', {}, undefined, deadline);
      return request.finally(() => client.close());
    }

    test('is exchanged without a subject token, once it is bound', async () => {
      const svid = await spire.x509Svid();
      expect((await exchangeWith(svid)).reason).toBe('IDENTITY_NOT_BOUND');
      await fixture.json('service', 'bind', 'billing', '--certificate', BILLING);
      expect(await verifiedBy(fixture.service, await exchangeWith(svid))).toMatchObject({
        subject: accountId,
        subject_name: 'billing',
      });
    });

    test('after SPIRE has replaced its X.509 authority, new SVIDs are accepted and former ones refused', async () => {
      const before = await spire.x509Svid();
      const revokeFormer = await spire.replaceAuthority('x509');
      const svidOnce = (isNew: (svid: X509Svid) => boolean) =>
        until(async () => {
          const svid = await spire.x509Svid();
          return isNew(svid) && svid;
        }, ROTATION_LIMIT_MS);
      // The listener re-reads the file; what keeps it current is the operator's part.
      const trustBundle = async (bundle: string) => {
        writeFileSync(clientCaFile, bundle);
        await service.tls?.reload();
      };
      const after = await svidOnce(({ cert }) => cert !== before.cert);
      await trustBundle(after.bundle);
      expect((await exchangeWith(after)).code).toBe(grpc.status.OK);
      expect((await exchangeWith(before)).code).toBe(grpc.status.OK);
      await revokeFormer();
      const { bundle } = await svidOnce((svid) => svid.bundle !== after.bundle);
      await trustBundle(bundle);
      expect((await exchangeWith(after)).code).toBe(grpc.status.OK);
      expect((await exchangeWith(before)).reason).toBeUndefined();
      expect((await exchangeWith(before)).code).toBe(grpc.status.UNAVAILABLE);
    }, 120_000);
  });
});
