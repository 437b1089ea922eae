import { type AuditActor } from '../../src/domain/audit-event.ts';
import { masterKeyOf } from '../../src/crypto/sealed-envelope.ts';
import { SecretDigests } from '../../src/crypto/keyed-digests.ts';
import { createPasswordReset } from '../../src/features/authentication/password-reset/create-password-reset.ts';
import type { GivenRights } from '../../src/features/service-accounts/account-rights.ts';
import { createServiceAccount } from '../../src/features/service-accounts/create-service-account.ts';
import { deleteServiceAccount } from '../../src/features/service-accounts/delete-service-account.ts';
import { addServiceKey } from '../../src/features/service-accounts/keys/add-service-key.ts';
import { deleteServiceKey } from '../../src/features/service-accounts/keys/delete-service-key.ts';
import { RootKey } from '../../src/features/root-key/root-key.ts';
import { rotateServiceSecret } from '../../src/features/service-accounts/rotate-service-secret.ts';
import { testCall } from './test-call.ts';
import type { TestDatabase } from './test-database.ts';
import { masterKey } from './test-service.ts';

const actor: AuditActor = { type: 'operator', id: null };

export interface Credentials {
  readonly id: string;
  readonly secret: string;
}

/** Operations of an administrator on the database that the running services of a test share. */
export interface AdminFixture {
  readonly digests: SecretDigests;
  /** @param rights its audiences; by default it may ask for every one, as an account of an earlier release */
  createService(name: string, roles?: string[], rights?: GivenRights): Promise<Credentials>;
  /** The new secret. */
  rotate(id: string, overlapSeconds: number): Promise<string>;
  deleteService(id: string): Promise<void>;
  /** Adds a public key. @returns its kid */
  addKey(id: string, publicJwk: string): Promise<string>;
  deleteKey(id: string, kid: string): Promise<void>;
  resetFor(email: string): Promise<string>;
}

export async function openAdminFixture({ database }: TestDatabase): Promise<AdminFixture> {
  const root = new RootKey();
  await root.prepare(database, [masterKeyOf(Buffer.from(masterKey, 'base64'))]);
  const tools = {
    database,
    digests: new SecretDigests((purpose) => root.derive(purpose)),
    trust: null,
    audiences: { configured: ['postern'] as const },
  };
  return {
    digests: tools.digests,
    async createService(name, roles = [], rights) {
      const made = await createServiceAccount(tools, { name, roles, ...rights, actor }, testCall());
      if (rights === undefined)
        await database.run(testCall(), (db) =>
          db('service_accounts').where({ id: made.account.id }).update({ allowed_audiences: null }),
        );
      return { id: made.account.id, secret: made.clientSecret.reveal() };
    },
    async rotate(id, overlapSeconds) {
      const change = { account: { id }, overlapSeconds, actor };
      return (await rotateServiceSecret(tools, change, testCall())).clientSecret.reveal();
    },
    async deleteService(id) {
      await deleteServiceAccount(tools, { account: { id }, actor }, testCall());
    },
    async addKey(id, publicJwk) {
      return (await addServiceKey(tools, { account: { id }, publicJwk, actor }, testCall())).kid;
    },
    async deleteKey(id, kid) {
      await deleteServiceKey(tools, { account: { id }, kid, actor }, testCall());
    },
    async resetFor(email) {
      return (await createPasswordReset(tools, { user: { email }, actor }, testCall())).resetToken.reveal();
    },
  };
}
