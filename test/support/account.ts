import { status } from '@grpc/grpc-js';

import type { Message, Outcome } from './test-service.ts';

export interface Tokens {
  readonly access_token: string;
  readonly refresh_token: string;
  readonly session_id: string;
  readonly user_id: string;
}

/** A server of the contract: a service in this process, or one of several elsewhere. */
export interface Callee {
  call(method: string, request: Message): Promise<Outcome>;
}

/** The common steps of session tests; a refusal is returned as its reason, or as its code where it has none. */
export const account = {
  async login(service: Callee, email: string, password: string): Promise<Tokens> {
    return tokensOf(await service.call('postern.v1.AuthService/Login', { email, password }));
  },
  async refresh(service: Callee, token: string): Promise<Tokens> {
    return tokensOf(await account.tryRefresh(service, token));
  },
  tryRefresh(service: Callee, token: string): Promise<Outcome> {
    return service.call('postern.v1.AuthService/RefreshToken', { refresh_token: token });
  },
  async refreshVerdict(service: Callee, token: string): Promise<string> {
    return verdictOf(await account.tryRefresh(service, token));
  },
  async revoke(service: Callee, token: string, allSessions = false): Promise<string> {
    return verdictOf(
      await service.call('postern.v1.AuthService/RevokeToken', { token, all_sessions: allSessions }),
    );
  },
  async verdict(service: Callee, token: string): Promise<string> {
    return verdictOf(await service.call('postern.v1.AuthService/VerifyToken', { access_token: token }));
  },
};

export function verdictOf({ code, reason }: Outcome): string {
  return code === status.OK ? 'OK' : (reason ?? status[code]);
}

function tokensOf(outcome: Outcome): Tokens {
  if (!outcome.response) throw new Error(`${verdictOf(outcome)}: ${outcome.message}`);
  return outcome.response as unknown as Tokens;
}
