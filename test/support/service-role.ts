import { randomBytes } from 'node:crypto';

import { grantServiceRole } from '../../src/database/service-role.ts';
import type { TestDatabase } from './test-database.ts';

export interface ServiceRole {
  readonly name: string;
  readonly url: string;
}

/** A role that may only log in; roles belong to the whole server, so each has a name of its own. */
export async function createRole(database: TestDatabase, infix = ''): Promise<ServiceRole> {
  const name = `role_${infix}${randomBytes(6).toString('hex')}`;
  await database.query(`CREATE ROLE "${name.replaceAll('"', '""')}" LOGIN`);
  const url = new URL(database.url);
  url.username = encodeURIComponent(name);
  return { name, url: url.href };
}

/** The database role of a service in production. */
export async function createServiceRole(database: TestDatabase): Promise<ServiceRole> {
  const role = await createRole(database);
  await grantServiceRole(database.database, role.name);
  return role;
}
