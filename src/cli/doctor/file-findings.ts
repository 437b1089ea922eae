import { PosternError } from '../../client/postern-error.ts';
import { readTokenFile } from '../../client/workload-credential.ts';
import { openPolicy } from '../../compose/policy.ts';
import { type Settings, SettingsError } from '../../config/load-settings.ts';
import { type Finding, settingsFaults } from './finding.ts';

/** Checks the policy file, without which neither the service nor a sidecar starts. Empty when none is set. */
export async function policyFindings(settings: Pick<Settings, 'policyFile'>): Promise<Finding[]> {
  try {
    const file = await openPolicy(settings, { info: () => undefined, warn: () => undefined });
    if (file === null) return [];
    file.close();
    const { methods, otherwise } = file.policy;
    const others = otherwise === null ? 'are refused' : "have the rule 'otherwise'";
    const message = `POSTERN_POLICY_FILE has rules for ${methods.size} methods; other methods ${others}`;
    return [{ check: 'settings', verdict: 'ok', message }];
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return settingsFaults(error);
  }
}

/** Checks the token of the workload. Unusable, it is only a warning: the service does without, and a sidecar waits for it. */
export async function tokenFileFindings({ tokenFile }: Pick<Settings, 'tokenFile'>): Promise<Finding[]> {
  if (tokenFile === null) return [];
  try {
    await readTokenFile(tokenFile);
    return [{ check: 'settings', verdict: 'ok', message: 'POSTERN_TOKEN_FILE holds a token' }];
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    const [message = '', advice = ''] = error.message.split('; ');
    return [{ check: 'settings', verdict: 'warning', message: `POSTERN_TOKEN_FILE: ${message}`, advice }];
  }
}
