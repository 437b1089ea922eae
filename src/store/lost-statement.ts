/**
 * A prepared statement that the server does not have, or has already, though the connection says otherwise (a pooler
 * between them lends out another), or whose table has changed. Another connection prepares it again.
 */
export function isLostStatement(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  const { code, message } = error;
  return (
    code === '26000' ||
    code === '42P05' ||
    (code === '0A000' && message.includes('cached plan must not change'))
  );
}
