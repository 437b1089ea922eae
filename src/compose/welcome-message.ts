import { formatListenAddress, type ListenAddress } from '../net/listen-address.ts';
import type { DemoUser } from '../features/users/make-demo-user.ts';

/** The TLS settings of the listener that matter to a client. */
interface ListenerSecurity {
  readonly requiresClientCertificate: boolean;
}

/**
 * The message of the first start: the demo user, and commands that can be pasted into a shell.
 *
 * @param grpc the address of the gRPC listener
 * @param tls null in plaintext; a unix socket is always plaintext
 */
export function welcomeMessage(
  { email, password }: DemoUser,
  grpc: ListenAddress,
  tls: ListenerSecurity | null,
): string {
  const credentials = JSON.stringify({ email, password });
  const { socket, authority, target } = addressArguments(grpc);
  const secured = grpc.kind === 'unix' ? null : tls;
  const url = `${secured ? 'https' : 'http'}://${authority}/postern.v1.AuthService`;
  const clientCert = secured?.requiresClientCertificate ? ' --cert client.crt --key client.key' : '';
  const buf = `npx buf curl --protocol grpc ${secured ? `--cacert ca.crt${clientCert}` : '--http2-prior-knowledge'}${socket}`;
  const grpcurl = `grpcurl ${secured ? `-cacert ca.crt${clientCert.replaceAll('--', '-')}` : '-plaintext'}`;
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

/** The address as arguments of buf and grpcurl. For a unix socket the host in the URL is a placeholder. */
function addressArguments(grpc: ListenAddress): { socket: string; authority: string; target: string } {
  const address = formatListenAddress(grpc);
  if (grpc.kind === 'tcp') return { socket: '', authority: address, target: address };
  return {
    socket: ` --unix-socket ${shellQuoted(grpc.path)}`,
    authority: 'localhost',
    target: shellQuoted(address),
  };
}

/** Quotes a word for the shell, if it has characters that need it. */
function shellQuoted(word: string): string {
  return /^[\w./:@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
