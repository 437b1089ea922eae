import { showSecret } from '../../ui/secret.ts';

/** Credentials that were just created, until the page of the account shows them, once. */
let fresh: { readonly clientId: string; readonly clientSecret: string } | null = null;

export function keepFreshCredentials(credentials: { clientId: string; clientSecret: string }): void {
  fresh = credentials;
}

export function takeFreshCredentials(clientId: string): string | null {
  const kept = fresh;
  fresh = null;
  return kept?.clientId === clientId ? kept.clientSecret : null;
}

/** Shows credentials once, as the environment variables that the client libraries read. */
export function showCredentials(title: string, clientId: string, clientSecret: string): void {
  showSecret(
    title,
    'Keep the secret now: it is not shown again. The client libraries of Postern read these two variables.',
    `POSTERN_CLIENT_ID=${clientId}\nPOSTERN_CLIENT_SECRET=${clientSecret}`,
  );
}
