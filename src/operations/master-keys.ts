import type { Secret } from '../domain/secret.ts';
import { type MasterKey, masterKeyOf } from '../domain/sealed-envelope.ts';
import { readOrMakeMasterKey } from '../store/master-key-file.ts';

/** The master key that seals, then those that only open. Embedded mode keeps one in its data directory. */
export function masterKeysOf(settings: {
  readonly masterKey: Secret | null;
  readonly masterKeyPrevious: Secret | null;
  readonly dataDir: string;
}): readonly [MasterKey, ...MasterKey[]] {
  const current =
    settings.masterKey?.base64() ?? Buffer.from(readOrMakeMasterKey(settings.dataDir), 'base64');
  const previous = settings.masterKeyPrevious ? [masterKeyOf(settings.masterKeyPrevious.base64())] : [];
  return [masterKeyOf(current), ...previous];
}
