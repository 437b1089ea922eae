import { formatListenAddress, type ListenAddress } from '../net/listen-address.ts';
import type { DemoUser } from '../features/users/make-demo-user.ts';

/** The TLS settings of the listener that matter to a client. */
interface ListenerSecurity {
  readonly requiresClientCertificate: boolean;
}

/** Where the service listens. */
interface Listeners {
  /** Null where a browser finds no console. */
  readonly consoleUrl: string | null;
  readonly grpc: ListenAddress;
  /** Null when no RPC is served over HTTP. */
  readonly http: ListenAddress | null;
  /** Null in plaintext; a unix socket is always plaintext. */
  readonly tls: ListenerSecurity | null;
}

/** Where a stranger could guess at the password of an administrator, the demo user is none. */
const ADMIN_ADVICE = [
  '  It is no administrator, because Postern listens beyond this machine. To make one:',
  '    npx postern user create --email ann@example.com --role admin',
];

/** The message of every start in embedded mode; a log in production has no such lines. */
export function consoleMessage(consoleUrl: string | null): string {
  return consoleUrl === null ? '' : `\n  Open the console in a browser:  ${consoleUrl}\n\n`;
}

/**
 * The message of the first start: the console, the demo user, and commands that can be pasted into a shell. curl comes first,
 * because nothing has to be installed for it.
 */
export function welcomeMessage(
  { email, password, isAdmin }: DemoUser,
  { consoleUrl, grpc, http, tls }: Listeners,
): string {
  const credentials = JSON.stringify({ email, password });
  const { socket, authority, target } = addressArguments(grpc);
  const secured = grpc.kind === 'unix' ? null : tls;
  const url = `${secured ? 'https' : 'http'}://${authority}/postern.v1.AuthService`;
  const clientCert = secured?.requiresClientCertificate ? ' --cert client.crt --key client.key' : '';
  const buf = `npx buf curl --protocol grpc ${secured ? `--cacert ca.crt${clientCert}` : '--http2-prior-knowledge'}${socket}`;
  const grpcurl = `grpcurl ${secured ? `-cacert ca.crt${clientCert.replaceAll('--', '-')}` : '-plaintext'}`;
  const curl = http && curlCommand(http, tls);
  const bearer = '-H "authorization: Bearer $TOKEN"';
  const login = curl ? curl('Login', `-d '${credentials}'`) : `${buf} -d '${credentials}' ${url}/Login`;
  const lines = [
    `  A demo user was created${isAdmin ? ', an administrator' : ''}. Its password is shown only now:  ${email}  ${password}`,
    ...(isAdmin || consoleUrl === null ? [] : ADMIN_ADVICE),
    '',
    ...(tls && (secured || curl)
      ? [`  Replace ca.crt below with the CA certificate of this server's certificate.`, '']
      : []),
    '  Log in:',
    ...(curl ? [`    ${login}`] : []),
    `    ${buf} -d '${credentials}' ${url}/Login`,
    `    ${grpcurl} -d '${credentials}' ${target} postern.v1.AuthService/Login`,
    '',
    '  Verify a token:',
    `    TOKEN=$(${login} | sed -n 's/.*"accessToken": *"\\([^"]*\\)".*/\\1/p')`,
    ...(curl ? [`    ${curl('VerifyToken', `${bearer} -d '{}'`)}`] : []),
    `    ${buf} ${bearer} -d '{}' ${url}/VerifyToken`,
    `    ${grpcurl} ${bearer} ${target} postern.v1.AuthService/VerifyToken`,
    '',
  ];
  return `${consoleMessage(consoleUrl) || '\n'}${lines.join('\n')}\n`;
}

/** Makes the commands of curl for one listener. */
function curlCommand(
  http: ListenAddress,
  tls: ListenerSecurity | null,
): (method: string, options: string) => string {
  const { socket, authority } = addressArguments(http);
  const secured = http.kind === 'tcp' && tls !== null;
  const url = `${secured ? 'https' : 'http'}://${authority}/postern.v1.AuthService`;
  const command = `curl -s${secured ? ' --cacert ca.crt' : ''}${socket} -H 'content-type: application/json'`;
  return (method, options) => `${command} ${options} ${url}/${method}`;
}

/** The address as arguments of buf, curl and grpcurl. For a unix socket the host in the URL is a placeholder. */
function addressArguments(listener: ListenAddress): { socket: string; authority: string; target: string } {
  const address = formatListenAddress(listener);
  if (listener.kind === 'tcp') return { socket: '', authority: address, target: address };
  return {
    socket: ` --unix-socket ${shellQuoted(listener.path)}`,
    authority: 'localhost',
    target: shellQuoted(address),
  };
}

/** Quotes a word for the shell, if it has characters that need it. */
function shellQuoted(word: string): string {
  return /^[\w./:@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
