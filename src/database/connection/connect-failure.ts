const connectFailures = new WeakSet<object>();

export function markConnectFailure(error: unknown): void {
  if (typeof error === 'object' && error !== null) connectFailures.add(error);
}

/** Whether an error ended an attempt to connect, so that no statement of Postern can be its cause. */
export function isConnectFailure(error: unknown): boolean {
  return typeof error === 'object' && error !== null && connectFailures.has(error);
}
