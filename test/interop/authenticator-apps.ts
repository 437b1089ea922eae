import { runTool } from './run-tool.ts';

/** The steps of TOTP codes are accepted once each, and one before and one after the present step: a test may use three. */
export type StepOffset = -1 | 0 | 1;

/** The code that `oathtool` computes for a base32 secret. */
export async function oathtoolCode(secret: string, offset: StepOffset = 0): Promise<string> {
  const at = new Date(Date.now() + offset * 30_000).toISOString().slice(0, 19).replace('T', ' ');
  return succeeded(await runTool('oathtool', ['--totp', '--base32', `--now=${at} UTC`, secret]));
}

/** The present code that Python's `pyotp` reads out of an `otpauth://` URI. */
export async function pyotpCode(otpauthUri: string): Promise<string> {
  return succeeded(await runTool('pyotp', [], otpauthUri));
}

function succeeded({ exitCode, stdout, stderr }: Awaited<ReturnType<typeof runTool>>): string {
  if (exitCode !== 0) throw new Error(stderr);
  return stdout.trim();
}
