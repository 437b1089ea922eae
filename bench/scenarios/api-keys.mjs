import { randomBytes } from 'node:crypto';
import { ApiKeyDigests } from '../../dist/crypto/api-key-digests.js';
import { SecretDigests } from '../../dist/crypto/keyed-digests.js';
import { masterKeyOf } from '../../dist/crypto/sealed-envelope.js';
import { budgetOf, ownOrigin } from '../../dist/domain/operation-call.js';
import { createApiKey } from '../../dist/features/api-keys/create-api-key.js';
import { RootKey } from '../../dist/features/root-key/root-key.js';
import { createServiceAccount } from '../../dist/features/service-accounts/create-service-account.js';
import { ExchangeTokenRequest, IssueServiceTokenRequest } from '../../dist/generated/postern/v1/auth.js';
import { masterKey } from '../bench-service.mjs';
import { compareServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { callersLoad } from '../load/callers.mjs';
import { h2load } from '../load/h2load.mjs';
import { openTokenFixture, VERIFY, verifyAnswer, verifyMessage } from '../token-fixture.mjs';

const CALLERS = 16;
const actor = { type: 'operator', id: null };

/** A known API key beside a token in the cache, and the exchange of a key beside the issue of a token for a secret. */
export async function run(plan) {
  const fixture = await openTokenFixture();
  try {
    const { key, account } = await makeKey(fixture.database);
    const start = { baseline: () => fixture.serve(), contender: () => fixture.serve() };
    const credentials = { baseline: fixture.token, contender: key };
    const verify = async (server, seconds, side) => {
      const credential = credentials[side];
      const answerBytes = (await verifyAnswer(server.grpc, credential)).length;
      return h2load({
        address: server.grpc,
        path: VERIFY,
        message: verifyMessage(credential),
        seconds,
        answerBytes,
      });
    };
    const issue = {
      baseline: [
        '/postern.v1.AuthService/IssueServiceToken',
        IssueServiceTokenRequest.encode({ ...account, audience: '', clientAssertion: '' }).finish(),
      ],
      contender: [
        '/postern.v1.AuthService/ExchangeToken',
        ExchangeTokenRequest.encode({
          subjectToken: key,
          serviceAccount: '',
          audience: '',
          roles: [],
          actorToken: '',
        }).finish(),
      ],
    };
    const exchange = ({ grpc }, seconds, side) => {
      const [path, message] = issue[side];
      return callersLoad({ address: grpc, path, callers: CALLERS, seconds, next: () => message });
    };
    return [
      await compareServers(rowOf('api-keys', 'verify-api-key'), start, verify, plan),
      await compareServers(rowOf('api-keys', 'exchange-api-key'), start, exchange, plan),
    ];
  } finally {
    await fixture.stop();
  }
}

async function makeKey(database) {
  const root = new RootKey();
  await root.prepare(database, [masterKeyOf(Buffer.from(masterKey, 'base64'))]);
  const derive = (purpose) => root.derive(purpose);
  const call = { ...budgetOf(10_000, Date.now()), origin: ownOrigin };
  const tools = { database, digests: new SecretDigests(derive), audiences: { configured: ['postern'] } };
  const made = await createServiceAccount(tools, { name: 'bench', roles: [], actor }, call);
  const { id } = made.account;
  const { secret } = await createApiKey(
    {
      database,
      apiKeyDigests: new ApiKeyDigests(derive),
      maxApiKeys: 1_000,
      secondFactorRoles: [],
      audienceFor: () => 'postern',
    },
    {
      owner: { type: 'service', id },
      key: { name: randomBytes(4).toString('hex'), roles: [], audience: '', allowedNetworks: [] },
      actor,
      mayNotExpire: true,
    },
    call,
  );
  return { key: secret.reveal(), account: { clientId: id, clientSecret: made.clientSecret.reveal() } };
}
