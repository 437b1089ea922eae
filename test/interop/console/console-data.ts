import { type ConsoleBrowser, PASSWORD } from './console-browser.ts';

/** The pages of the console by what they show, once `fillConsole` has run. */
export interface ConsolePaths {
  readonly user: string;
  readonly serviceAccount: string;
  readonly all: Readonly<Record<string, string>>;
}

const PEOPLE = [
  ['ann.lee', ['editor', 'billing']],
  ['bernd.vogel', ['support']],
  ['clara.rossi', ['editor']],
  ['dmitri.orlov', []],
  ['eleni.petrou', ['billing', 'support']],
  ['farid.haddad', ['editor']],
  ['grace.okafor', ['admin']],
  ['hiro.tanaka', ['editor']],
] as const;
const SERVICES = ['billing-worker', 'mail-sender', 'search-indexer'];

/** Fills the service with what an operator would see: users, sessions, a refused login, service accounts, an issuer, an API key. */
export async function fillConsole(console: ConsoleBrowser): Promise<ConsolePaths> {
  const ids: string[] = [];
  // All at once would wait for the one hashing thread of a test service.
  for (const [name, roles] of PEOPLE) ids.push((await console.addUser(`${name}@example.com`, [...roles])).id);
  const [ann = ''] = ids;
  await console.service.tokenOf('ann.lee@example.com', PASSWORD);
  const wrong = { email: 'ann.lee@example.com', password: 'not her password' };
  await console.service.call('postern.v1.AuthService/Login', wrong);
  const accounts = await Promise.all(
    SERVICES.map((name) => console.call('AdminService/CreateServiceAccount', { name, roles: ['worker'] })),
  );
  const clientId = String(accounts[0]?.['client_id']);
  const key = { name: 'nightly report', roles: ['editor'] };
  await console.call('AdminService/CreateApiKey', { user_id: ann, api_key: key });
  const user = `#/users/${ann}`;
  const serviceAccount = `#/service-accounts/${clientId}`;
  return {
    user,
    serviceAccount,
    all: {
      Overview: '#/overview',
      Users: '#/users',
      User: user,
      'Service accounts': '#/service-accounts',
      'Service account': serviceAccount,
      'Signing keys': '#/signing-keys',
      'Trusted issuers': '#/trusted-issuers',
      Audiences: '#/audiences',
      Audit: '#/audit',
      'My account': '#/account',
      'Not found': '#/nowhere',
    },
  };
}
