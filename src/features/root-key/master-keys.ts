import type { Secret } from '../../domain/secret.ts';
import { type MasterKey, masterKeyOf } from '../../crypto/sealed-envelope.ts';
import { readMasterKeyFile } from './master-key-file.ts';

/**
 * Loads the current master key, followed by the previous one if it is configured. Without `masterKey` (embedded mode)
 * the current one is read from the data directory.
 *
 * @param options.createIfMissing whether a missing master key file is created
 * @throws DataDirectoryError when the master key file cannot be read, created or used
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
