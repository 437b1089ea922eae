import type { Knex } from 'knex';

interface RefreshRootRow {
  only_one: true;
  sealed_key: Buffer;
}

/** The sealed root key of refresh tokens, or null before the first start. */
export async function findRefreshRoot(db: Knex): Promise<Uint8Array | null> {
  const row = await db<RefreshRootRow>('refresh_root').first('sealed_key');
  return row?.sealed_key ?? null;
}

/** Stores the first root key; when another instance was faster, its key stays. */
export async function insertRefreshRoot(db: Knex, sealedKey: Uint8Array): Promise<void> {
  await db<RefreshRootRow>('refresh_root')
    .insert({ only_one: true, sealed_key: Buffer.from(sealedKey) })
    .onConflict('only_one')
    .ignore();
}

export async function replaceRefreshRoot(db: Knex, sealedKey: Uint8Array): Promise<void> {
  await db<RefreshRootRow>('refresh_root').update({ sealed_key: Buffer.from(sealedKey) });
}
