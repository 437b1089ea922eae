import type { Knex } from 'knex';

import { rejectDuplicate } from '../../database/pg-errors.ts';
import { canonicalKeySet } from '../../tokens/verify/outside-key.ts';
import type { IssuerKeySource, NewTrustedIssuer, TrustedIssuer } from './trusted-issuer.ts';

interface IssuerRow {
  id: string;
  issuer: string;
  kind: TrustedIssuer['kind'];
  keys_from: IssuerKeySource['from'];
  jwks_url: string | null;
  static_jwks: unknown;
  ca_pem: string | null;
  bearer_file: string | null;
  audience: string;
  algorithms: string[];
  max_age_seconds: number;
  accept_once: boolean;
  disabled_at: Date | null;
  created_at: Date;
}

/** A reference to an issuer by id or by the text of `iss`. */
export type IssuerRef = { readonly id: string } | { readonly issuer: string };

/** @throws Rejected `issuer-taken` when the issuer is trusted already */
export async function insertTrustedIssuer(
  db: Knex,
  {
    id,
    issuer,
    kind,
    keys,
    audience,
    algorithms,
    maxAgeSeconds,
    acceptOnce,
  }: NewTrustedIssuer & { id: string },
): Promise<TrustedIssuer> {
  const [row] = await db<IssuerRow>('trusted_issuers')
    .insert({
      id,
      issuer,
      kind,
      ...columnsOf(keys),
      audience,
      algorithms: [...algorithms],
      max_age_seconds: maxAgeSeconds,
      accept_once: acceptOnce,
    })
    .returning('*')
    .catch(rejectDuplicate('trusted_issuers_issuer_key', { kind: 'issuer-taken' }));
  return toIssuer(row as unknown as IssuerRow);
}

/** Finds the enabled issuer with one of these names; of several, the one that is named first. */
export async function findTrustedIssuer(db: Knex, issuers: readonly string[]): Promise<TrustedIssuer | null> {
  const { rows } = await db.raw<{ rows: IssuerRow[] }>(
    'SELECT * FROM trusted_issuers WHERE issuer = ANY (?::text[]) AND disabled_at IS NULL',
    [issuers] as never,
  );
  const found = issuers.map((issuer) => rows.find((row) => row.issuer === issuer)).find(Boolean);
  return found ? toIssuer(found) : null;
}

/** Locks an issuer: until the transaction ends, no token is issued for its tokens. Null when it does not exist. */
export async function lockTrustedIssuer(
  trx: Knex.Transaction,
  ref: IssuerRef,
): Promise<TrustedIssuer | null> {
  const row = await trx<IssuerRow>('trusted_issuers').where(ref).forUpdate().first();
  return row ? toIssuer(row) : null;
}

/** Keeps an issuer from being changed until the transaction ends. Null when it does not exist. */
export async function holdTrustedIssuer(
  trx: Knex.Transaction,
  ref: IssuerRef,
): Promise<TrustedIssuer | null> {
  const row = await trx<IssuerRow>('trusted_issuers').where(ref).forShare().first();
  return row ? toIssuer(row) : null;
}

/** Changes an issuer that the caller has locked. */
export async function updateTrustedIssuerRow(
  trx: Knex.Transaction,
  id: string,
  { keys, disabled }: { readonly keys: IssuerKeySource | null; readonly disabled: boolean | null },
): Promise<TrustedIssuer> {
  const [row] = await trx<IssuerRow>('trusted_issuers')
    .where({ id })
    .update({
      ...(keys && columnsOf(keys)),
      ...(disabled !== null && { disabled_at: disabled ? trx.raw('now()') : null }),
    } as never)
    .returning('*');
  return toIssuer(row as IssuerRow);
}

/** Deletes an issuer that the caller has locked, with its bindings. */
export async function deleteTrustedIssuerRow(trx: Knex.Transaction, id: string): Promise<void> {
  await trx<IssuerRow>('trusted_issuers').where({ id }).delete();
}

/** Disables every issuer. @returns those that were enabled */
export async function disableEveryIssuer(trx: Knex.Transaction): Promise<TrustedIssuer[]> {
  const rows = await trx<IssuerRow>('trusted_issuers')
    .whereNull('disabled_at')
    .update({ disabled_at: trx.raw('now()') } as never)
    .returning('*');
  return rows.map(toIssuer);
}

/** Reads one page of issuers, ordered by id, which is the order of creation. */
export async function listTrustedIssuerRows(
  db: Knex,
  page: { readonly afterId: string | null; readonly limit: number },
): Promise<TrustedIssuer[]> {
  const { rows } = await db.raw<{ rows: IssuerRow[] }>(
    `SELECT * FROM trusted_issuers
     WHERE id > coalesce(?::uuid, '00000000-0000-0000-0000-000000000000') ORDER BY id LIMIT ?`,
    [page.afterId, page.limit],
  );
  return rows.map(toIssuer);
}

function columnsOf({ from, jwksUrl, staticJwks, caPem, bearerFile }: IssuerKeySource): object {
  return {
    keys_from: from,
    jwks_url: from === 'url' ? jwksUrl : null,
    static_jwks: from === 'static' ? canonicalKeySet(staticJwks) : null,
    ca_pem: caPem === '' ? null : caPem,
    bearer_file: bearerFile === '' ? null : bearerFile,
  };
}

function toIssuer(row: IssuerRow): TrustedIssuer {
  return {
    id: row.id,
    issuer: row.issuer,
    kind: row.kind,
    keys: {
      from: row.keys_from,
      jwksUrl: row.jwks_url ?? '',
      staticJwks: row.static_jwks === null ? '' : JSON.stringify(row.static_jwks),
      caPem: row.ca_pem ?? '',
      bearerFile: row.bearer_file ?? '',
    },
    audience: row.audience,
    algorithms: row.algorithms,
    maxAgeSeconds: row.max_age_seconds,
    acceptOnce: row.accept_once,
    disabled: row.disabled_at !== null,
    createdAt: row.created_at,
  };
}
