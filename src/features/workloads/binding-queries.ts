import type { Knex } from 'knex';

import type { BoundClaims } from './binding-rules.ts';

/** An identity that is bound to a service account. */
export interface WorkloadBinding {
  readonly id: string;
  /** Null for a client certificate. */
  readonly issuerId: string | null;
  readonly accountId: string;
  readonly claims: BoundClaims;
  /** The roles that tokens have at most; null for all of the account. */
  readonly roles: readonly string[] | null;
  readonly createdAt: Date;
}

/** A binding, and what the service account may get. */
export interface Candidate {
  readonly binding: WorkloadBinding;
  readonly account: {
    readonly id: string;
    readonly name: string;
    readonly roles: readonly string[];
    /** Null for every audience. */
    readonly allowedAudiences: readonly string[] | null;
  };
}

interface BindingRow {
  id: string;
  issuer_id: string | null;
  account_id: string;
  claims: BoundClaims;
  roles: string[] | null;
  created_at: Date;
}

type CandidateRow = BindingRow & {
  name: string;
  account_roles: string[];
  allowed_audiences: string[] | null;
};

export async function insertBinding(
  db: Knex,
  { id, issuerId, accountId, claims, roles }: Omit<WorkloadBinding, 'createdAt'>,
): Promise<WorkloadBinding> {
  const [row] = await db<BindingRow>('workload_bindings')
    .insert({
      id,
      issuer_id: issuerId,
      account_id: accountId,
      claims: JSON.stringify(claims),
      roles: roles && [...roles],
    } as never)
    .returning('*');
  return toBinding(row as unknown as BindingRow);
}

const SELECT_CANDIDATES = `SELECT b.*, a.name, a.roles AS account_roles, a.allowed_audiences
     FROM workload_bindings b JOIN service_accounts a ON a.id = b.account_id`;

/**
 * The bindings of an issuer, or, for null, of client certificates, with their accounts.
 *
 * @param subject leaves out those that want another `sub`; null for all
 */
export async function findCandidates(
  db: Knex,
  issuerId: string | null,
  subject: string | null,
): Promise<Candidate[]> {
  const { rows } = await db.raw<{ rows: CandidateRow[] }>(
    `${SELECT_CANDIDATES}
     WHERE b.issuer_id IS NOT DISTINCT FROM ?::uuid
       AND (?::text IS NULL OR b.claims->>'sub' IS NULL OR b.claims->>'sub' = ?::text) ORDER BY b.id`,
    [issuerId, subject, subject],
  );
  return rows.map(toCandidate);
}

/** A binding with what its account may get now; null when one of them does not exist. */
export async function findCandidate(db: Knex, bindingId: string): Promise<Candidate | null> {
  const { rows } = await db.raw<{ rows: CandidateRow[] }>(`${SELECT_CANDIDATES} WHERE b.id = ?`, [bindingId]);
  return rows[0] ? toCandidate(rows[0]) : null;
}

export async function countBindings(db: Knex, issuerId: string | null): Promise<number> {
  const { rows } = await db.raw<{ rows: [{ count: number }] }>(
    'SELECT count(*)::int FROM workload_bindings WHERE issuer_id IS NOT DISTINCT FROM ?::uuid',
    [issuerId],
  );
  return rows[0].count;
}

/** Locks the bindings of an issuer, whose row the caller has locked. @returns their ids */
export async function lockBindingsOf(trx: Knex.Transaction, issuerId: string): Promise<string[]> {
  const rows = await trx<BindingRow>('workload_bindings')
    .where({ issuer_id: issuerId })
    .forUpdate()
    .select('id');
  return rows.map(({ id }) => id);
}

/** Deletes a binding; waits for tokens that are being issued by it. Null when it does not exist. */
export async function deleteBindingRow(trx: Knex.Transaction, id: string): Promise<WorkloadBinding | null> {
  const [row] = await trx<BindingRow>('workload_bindings').where({ id }).delete().returning('*');
  return row ? toBinding(row) : null;
}

/** Deletes every binding of a client certificate. @returns what they were */
export async function deleteCertificateBindings(trx: Knex.Transaction): Promise<WorkloadBinding[]> {
  const rows = await trx<BindingRow>('workload_bindings').whereNull('issuer_id').delete().returning('*');
  return rows.map(toBinding);
}

/** Reads one page of bindings, ordered by id, which is the order of creation. Null filters match everything. */
export async function listBindingRows(
  db: Knex,
  filter: { readonly issuerId: string | null; readonly accountId: string | null },
  page: { readonly afterId: string | null; readonly limit: number },
): Promise<WorkloadBinding[]> {
  const { issuerId, accountId } = filter;
  const { rows } = await db.raw<{ rows: BindingRow[] }>(
    `SELECT * FROM workload_bindings
     WHERE id > coalesce(?::uuid, '00000000-0000-0000-0000-000000000000')
       AND (?::uuid IS NULL OR issuer_id = ?::uuid) AND (?::uuid IS NULL OR account_id = ?::uuid)
     ORDER BY id LIMIT ?`,
    [page.afterId, issuerId, issuerId, accountId, accountId, page.limit],
  );
  return rows.map(toBinding);
}

function toCandidate(row: CandidateRow): Candidate {
  return {
    binding: toBinding(row),
    account: {
      id: row.account_id,
      name: row.name,
      roles: row.account_roles,
      allowedAudiences: row.allowed_audiences,
    },
  };
}

function toBinding(row: BindingRow): WorkloadBinding {
  return {
    id: row.id,
    issuerId: row.issuer_id,
    accountId: row.account_id,
    claims: row.claims,
    roles: row.roles,
    createdAt: row.created_at,
  };
}
