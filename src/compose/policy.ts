import { type Settings, SettingsError } from '../config/load-settings.ts';
import { errorText } from '../domain/error-text.ts';
import { requireTrustedPath } from '../domain/trusted-path.ts';
import type { Logger } from '../observability/log.ts';
import { InvalidPolicy } from '../policy/policy-document.ts';
import { PolicyFile } from '../policy/policy-file.ts';

/**
 * Opens the policy file named in the settings, and logs when it is reloaded or cannot be used. Null without one.
 *
 * @throws SettingsError when the file cannot be used
 */
export async function openPolicy(
  { policyFile }: Pick<Settings, 'policyFile'>,
  log: Pick<Logger, 'info' | 'warn'>,
): Promise<PolicyFile | null> {
  if (policyFile === null) return null;
  try {
    return await PolicyFile.open(policyFile, {
      checkPath: (path) => requireTrustedPath(path, 'root'),
      report(event) {
        if (event.kind === 'reloaded') log.info('policy-reloaded');
        else log.warn({ detail: event.faults.join('; ') }, 'policy-unusable');
      },
    });
  } catch (error) {
    const faults = error instanceof InvalidPolicy ? error.faults : [errorText(error)];
    throw new SettingsError(faults.map((fault) => `POSTERN_POLICY_FILE: ${fault}`));
  }
}
