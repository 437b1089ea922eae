import { describe, expect, test } from '@jest/globals';

import type { VerifiedClaims } from '../../../src/domain/claims/claims.ts';
import type { Actor } from '../../../src/domain/claims/actor.ts';
import { Rejected } from '../../../src/domain/rejection.ts';
import type { TokenDependencies } from '../../../src/features/token-exchange/derived-token-queries.ts';
import {
  decideOwnExchange,
  type OwnTokenExchange,
} from '../../../src/features/token-exchange/own-token-decision.ts';
import type {
  ExchangingAccount,
  TokenStanding,
} from '../../../src/features/token-exchange/own-token-queries.ts';
import { someClaims } from '../../support/claims.ts';

const ids = ['a', 'b', 'c', 'd', 'e'].map((digit) => `${digit.repeat(8)}-0000-4000-8000-000000000000`);
const [shop = '', billing = '', ledger = ''] = ids;
const now = 1_000_000;

const user = (own: Partial<VerifiedClaims> = {}) =>
  someClaims({
    subject: 'ann',
    sessionId: 's1',
    tokenId: 'j1',
    clientId: 'postern',
    issuer: 'https://postern.example',
    externalId: 'crm-1',
    audience: ['postern'],
    roles: ['reader', 'writer'],
    expiresAtSeconds: now + 600,
    ...own,
  });
const service = (own: Partial<VerifiedClaims> = {}) =>
  user({
    subject: shop,
    subjectType: 'service',
    sessionId: null,
    tokenId: 'j2',
    clientId: shop,
    externalId: null,
    subjectName: 'shop',
    ...own,
  });
const account = (id: string, own: Partial<ExchangingAccount> = {}): ExchangingAccount => ({
  id,
  name: 'shop',
  allowedAudiences: null,
  ownAudiences: ['orders'],
  delegationAudiences: ['billing'],
  ...own,
});
const nothing: TokenDependencies = {
  accountId: null,
  actorIds: [],
  bindingId: null,
  serviceKeyId: null,
  apiKeyId: null,
};
const standing = (own: Partial<TokenStanding> = {}): TokenStanding => ({
  accounts: new Map([[shop, account(shop)]]),
  recorded: new Map([
    ['j1', nothing],
    ['j2', { ...nothing, accountId: shop }],
  ]),
  isRevoked: false,
  ...own,
});
const chain = (...names: string[]): Actor | null =>
  names.reduceRight<Actor | null>((actor, subject) => ({ subject, name: null, actor }), null);

function decide(exchange: Partial<OwnTokenExchange>, state = standing()) {
  return decideOwnExchange(
    { subject: user(), actor: null, audience: '', apiAudience: 'postern', nowSeconds: now, ...exchange },
    state,
  );
}
function refusal(exchange: Partial<OwnTokenExchange>, state = standing()): string {
  try {
    decide(exchange, state);
    return 'allowed';
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    const { rejection } = error;
    if (rejection.kind === 'token-refused') return rejection.refusal.reason;
    return rejection.kind === 'exchange-not-allowed' ? rejection.detail : rejection.kind;
  }
}

describe('G01 without an actor', () => {
  test("a user's token keeps everything but what is taken away", () => {
    expect(decide({ audience: 'billing' })).toEqual({
      subject: {
        type: 'user',
        id: 'ann',
        name: null,
        sessionId: 's1',
        externalId: 'crm-1',
        authentication: null,
      },
      clientId: 'exchange',
      actor: null,
      countedBy: '["s1",["postern"],null]',
      roles: ['reader', 'writer'],
      audience: 'billing',
      expiresAtSeconds: now + 600,
      dependsOn: nothing,
      usesUp: null,
      details: { subject_token: 'j1', session: 's1' },
    });
  });

  test.each([
    { acr: 'aal1', amr: ['pwd'], authenticatedAtSeconds: now - 60 },
    { acr: 'aal2', amr: ['pwd', 'otp'], authenticatedAtSeconds: now - 600 },
    { acr: 'aal1', amr: [], authenticatedAtSeconds: null },
  ])('M36 a derived token keeps the authentication $acr $amr', (authentication) => {
    const subject = user(authentication);
    expect(decide({ subject }).subject.authentication).toEqual(authentication);
    const actor = service({ audience: ['postern'] });
    const received = user({ ...authentication, audience: ['orders'] });
    expect(decide({ subject: received, actor, audience: 'billing' }).subject.authentication).toEqual(
      authentication,
    );
  });

  test("a service's token keeps its name and depends on what its own depends on", () => {
    const dependsOn = {
      accountId: shop,
      actorIds: [],
      bindingId: 'b1',
      serviceKeyId: 'kid-1',
      apiKeyId: null,
    };
    const state = standing({ recorded: new Map([['j2', dependsOn]]) });
    expect(decide({ subject: service() }, state)).toMatchObject({
      subject: { type: 'service', id: shop, name: 'shop', sessionId: null },
      clientId: 'exchange',
      dependsOn,
    });
  });

  test('G02 only a token for Postern itself gets another audience, and none in which a service acts', () => {
    const other = user({ audience: ['orders'] });
    const delegated = user({ clientId: billing, actor: chain(billing) });
    expect(refusal({ subject: other })).toBe('allowed');
    expect(refusal({ subject: other, audience: 'orders' })).toBe('allowed');
    expect(refusal({ subject: other, audience: 'billing' })).toMatch(
      /^only a token for the audience 'postern'/,
    );
    expect(refusal({ subject: other, audience: 'postern' })).toMatch(/^only a token for/);
    expect(refusal({ subject: delegated, audience: 'billing' })).toMatch(/^only a token for/);
    expect(decide({ subject: delegated })).toMatchObject({ clientId: billing, actor: { subject: billing } });
  });

  test('G02 Q05 what came from an API key keeps the audience of the key, unless a service acts', () => {
    const ofKey = standing({
      recorded: new Map([...standing().recorded, ['j1', { ...nothing, apiKeyId: 'k1' }]]),
    });
    const subject = user({ clientId: 'exchange', sessionId: 'k1' });
    expect(refusal({ subject }, ofKey)).toBe('allowed');
    expect(refusal({ subject, audience: 'billing' }, ofKey)).toMatch(/^a token of an API key keeps/);
    const orders = user({ clientId: 'exchange', sessionId: 'k1', audience: ['orders'] });
    const delegate = { subject: orders, actor: service(), audience: 'billing' };
    expect(decide(delegate, ofKey)).toMatchObject({ dependsOn: { apiKeyId: 'k1', actorIds: [shop] } });
  });

  test('a service stays within its allowed audiences', () => {
    const state = standing({ accounts: new Map([[shop, account(shop, { allowedAudiences: ['postern'] })]]) });
    expect(refusal({ subject: service() }, state)).toBe('allowed');
    expect(refusal({ subject: service(), audience: 'billing' }, state)).toMatch(/^the account may not ask/);
    expect(refusal({ subject: service(), audience: 'billing' })).toBe('allowed');
  });

  test.each<[string, Partial<VerifiedClaims>]>([
    ['no jti', { tokenId: null }],
    ['no sid', { sessionId: null }],
    ['no client_id', { clientId: null }],
    ['no iss, as the tokens of another login system', { issuer: null }],
  ])('a token with %s is refused', (_name, own) => {
    expect(refusal({ subject: user(own) })).toBe('TOKEN_CLAIMS_INVALID');
  });

  test('a token that is revoked, or whose record is gone with what it depended on, is refused', () => {
    expect(refusal({}, standing({ isRevoked: true }))).toBe('TOKEN_REVOKED');
    const gone = standing({ recorded: new Map() });
    expect(refusal({}, gone)).toBe('allowed');
    expect(refusal({ subject: user({ clientId: 'exchange' }) }, gone)).toBe('TOKEN_REVOKED');
    expect(refusal({ subject: user({ actor: chain(billing), clientId: billing }) }, gone)).toBe(
      'TOKEN_REVOKED',
    );
    expect(refusal({ subject: service() }, gone)).toBe('TOKEN_REVOKED');
  });
});

describe('G03 with an actor', () => {
  const orders = user({ audience: ['orders'] });
  const delegate = { subject: orders, actor: service(), audience: 'billing' };

  test('the token names the actor before those that acted already, and ends within five minutes', () => {
    const before = { ...nothing, actorIds: [ledger] };
    const state = standing({ recorded: new Map([...standing().recorded, ['j1', before]]) });
    const subject = user({ audience: ['orders'], actor: chain(ledger), clientId: ledger });
    expect(decide({ ...delegate, subject }, state)).toMatchObject({
      subject: { id: 'ann', sessionId: 's1', externalId: 'crm-1' },
      clientId: shop,
      actor: { subject: shop, name: 'shop', actor: { subject: ledger, actor: null } },
      roles: ['reader', 'writer'],
      audience: 'billing',
      expiresAtSeconds: now + 300,
      dependsOn: { accountId: null, actorIds: [shop, ledger] },
    });
    const bound = { ...nothing, accountId: shop, bindingId: 'b1' };
    const ofBinding = standing({ recorded: new Map([...standing().recorded, ['j2', bound]]) });
    expect(decide(delegate, ofBinding)).toMatchObject({ dependsOn: { accountId: null, bindingId: 'b1' } });
    const ending = user({ audience: ['orders'], expiresAtSeconds: now + 7 });
    expect(decide({ ...delegate, subject: ending }).expiresAtSeconds).toBe(now + 7);
  });

  test("a service's token can be passed on as well", () => {
    const subject = service({ subject: billing, clientId: billing, tokenId: 'j3', audience: ['orders'] });
    const recorded = new Map([...standing().recorded, ['j3', { ...nothing, accountId: billing }]]);
    expect(decide({ ...delegate, subject }, standing({ recorded }))).toMatchObject({
      subject: { type: 'service', id: billing, sessionId: null },
      clientId: shop,
      dependsOn: { accountId: billing, actorIds: [shop] },
    });
  });

  test.each<[string, Partial<OwnTokenExchange>, RegExp]>([
    ['a user', { actor: user({ subject: 'bob' }) }, /^only a service account/],
    ['a derived token of a service', { actor: service({ clientId: 'exchange' }) }, /^only a service account/],
    [
      'a token in which another acts',
      { actor: service({ actor: chain(billing) }) },
      /^only a service account/,
    ],
    ['an API key', { actor: service({ credentialKind: 'api-key' }) }, /^only a service account/],
    [
      'a token for another audience',
      { actor: service({ audience: ['orders'] }) },
      /^the token of the actor must/,
    ],
    ['the subject', { subject: service({ audience: ['orders'] }) }, /^the actor is the subject/],
    [
      'the last actor',
      { subject: user({ audience: ['orders'], actor: chain(shop) }) },
      /^the actor is the subject/,
    ],
    ['for a token that came to somebody else', { subject: user() }, /^the token was not for an audience/],
    ['towards an audience that is not allowed', { audience: 'ledger' }, /^the actor may not act/],
    ['towards its own audience', { audience: '' }, /^the actor may not act/],
  ])('%s is refused', (_name, change, expected) => {
    expect(refusal({ ...delegate, ...change })).toMatch(expected);
  });

  test('an account may act for nobody until an administrator allows it', () => {
    const accounts = new Map([[shop, account(shop, { delegationAudiences: [] })]]);
    expect(refusal(delegate, standing({ accounts }))).toMatch(/^the actor may not act/);
    const foreign = new Map([[shop, account(shop, { ownAudiences: [] })]]);
    expect(refusal(delegate, standing({ accounts: foreign }))).toMatch(/^the token was not for/);
  });

  test('G04 a fifth actor is refused', () => {
    const others = ids.slice(1);
    const three = user({ audience: ['orders'], actor: chain(...others.slice(0, 3)) });
    const four = user({ audience: ['orders'], actor: chain(...others) });
    expect(refusal({ ...delegate, subject: three })).toBe('allowed');
    expect(refusal({ ...delegate, subject: four })).toMatch(/^the token has 4 actors/);
  });

  test('an actor whose account or token is gone is refused', () => {
    expect(refusal(delegate, standing({ accounts: new Map() }))).toBe('TOKEN_REVOKED');
    expect(refusal(delegate, standing({ recorded: new Map([['j1', nothing]]) }))).toBe('TOKEN_REVOKED');
  });
});
