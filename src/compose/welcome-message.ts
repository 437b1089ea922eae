import { formatListenAddress, type ListenAddress } from '../net/listen-address.ts';
import type { DemoUser } from '../features/users/make-demo-user.ts';

/** What a client must know of the listener's TLS. */
interface Secured {
  readonly requiresClientCertificate: boolean;
}

/**
 * What a newcomer reads at the first start: a user who can log in, and lines that work when they are pasted.
 *
 * @param grpc where gRPC calls are accepted
 * @param tls null in plaintext; a unix socket is plaintext always
 */
export function welcomeMessage(
  { email, password }: DemoUser,
  grpc: ListenAddress,
  tls: Secured | null,
): string {
  const credentials = JSON.stringify({ email, password });
  const { socket, authority, target } = placeOf(grpc);
  const secured = grpc.kind === 'unix' ? null : tls;
  const url = `${secured ? 'https' : 'http'}://${authority}/postern.v1.AuthService`;
  const known = secured?.requiresClientCertificate ? ' --cert client.crt --key client.key' : '';
  const buf = `npx buf curl --protocol grpc ${secured ? `--cacert ca.crt${known}` : '--http2-prior-knowledge'}${socket}`;
  const grpcurl = `grpcurl ${secured ? `-cacert ca.crt${known.replaceAll('--', '-')}` : '-plaintext'}`;
  const lines = [
    '',
    `  A demo user was created. Its password is shown only now:  ${email}  ${password}`,
    '',
    ...(secured ? [`  Replace ca.crt below with the CA certificate of this server's certificate.`, ''] : []),
    '  Log in:',
    `    ${buf} -d '${credentials}' ${url}/Login`,
    `    ${grpcurl} -d '${credentials}' ${target} postern.v1.AuthService/Login`,
    '',
    '  Verify a token:',
    `    TOKEN=$(${buf} -d '${credentials}' ${url}/Login | sed -n 's/.*"accessToken": *"\\([^"]*\\)".*/\\1/p')`,
    `    ${buf} -H "authorization: Bearer $TOKEN" -d '{}' ${url}/VerifyToken`,
    `    ${grpcurl} -H "authorization: Bearer $TOKEN" ${target} postern.v1.AuthService/VerifyToken`,
    '',
  ];
  return `${lines.join('\n')}\n`;
}

/** How the two tools name the place; a socket has no host, so the URL has one that nobody looks up. */
function placeOf(grpc: ListenAddress): { socket: string; authority: string; target: string } {
  const address = formatListenAddress(grpc);
  if (grpc.kind === 'tcp') return { socket: '', authority: address, target: address };
  return {
    socket: ` --unix-socket ${quoted(grpc.path)}`,
    authority: 'localhost',
    target: quoted(address),
  };
}

/** A word of the shell: as it is where nothing in it is special, otherwise in single quotes. */
function quoted(word: string): string {
  return /^[\w./:@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
