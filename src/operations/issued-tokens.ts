/** What a login, a refresh or a change of password gives. */
export interface IssuedTokens {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
  readonly refreshToken: string;
  readonly refreshExpiresInSeconds: number;
  readonly sessionId: string;
  readonly userId: string;
}
