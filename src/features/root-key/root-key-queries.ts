import type { Knex } from 'knex';

interface RootKeyRow {
  only_one: true;
  sealed_key: Buffer;
}

/** Reads the sealed root key; null before the first start. The table is named after its first use, refresh tokens. */
export async function findRootKey(db: Knex): Promise<Uint8Array | null> {
  const row = await db<RootKeyRow>('refresh_root').first('sealed_key');
  return row?.sealed_key ?? null;
}

/** Stores the first root key. When another instance has stored one already, that key is kept. */
export async function insertRootKey(db: Knex, sealedKey: Uint8Array): Promise<void> {
  await db<RootKeyRow>('refresh_root')
    .insert({ only_one: true, sealed_key: Buffer.from(sealedKey) })
    .onConflict('only_one')
    .ignore();
}

export async function replaceRootKey(db: Knex, sealedKey: Uint8Array): Promise<void> {
  await db<RootKeyRow>('refresh_root').update({ sealed_key: Buffer.from(sealedKey) });
}
