import type { Secret } from '../../domain/secret.ts';
import { type MasterKey, masterKeyOf } from '../../crypto/sealed-envelope.ts';
import { readMasterKeyFile } from './master-key-file.ts';

/**
 * The current master key, then the one before it, if there is one. Embedded mode keeps one in its data directory.
 *
 * @param options.createIfMissing whether embedded mode may make it when it is not there
 */
export function loadMasterKeys(
  settings: {
    readonly masterKey: Secret | null;
    readonly masterKeyPrevious: Secret | null;
    readonly dataDir: string;
  },
  { createIfMissing = true } = {},
): readonly [MasterKey, ...MasterKey[]] {
  const current =
    settings.masterKey?.base64() ??
    Buffer.from(readMasterKeyFile(settings.dataDir, createIfMissing), 'base64');
  const previous = settings.masterKeyPrevious ? [masterKeyOf(settings.masterKeyPrevious.base64())] : [];
  return [masterKeyOf(current), ...previous];
}
