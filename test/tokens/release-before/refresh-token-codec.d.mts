export interface EarlierPresentedToken {
  readonly sessionId: string;
  readonly generation: number;
  readonly mac: Uint8Array;
}
export class RefreshTokens {
  constructor(rootKey: Uint8Array);
  nonceFor(userId: string, random: Uint8Array): Buffer;
  make(nonce: Uint8Array, sessionId: string, generation: number): string;
  isGenuine(nonce: Uint8Array, token: EarlierPresentedToken): boolean;
}
export function parseRefreshToken(text: string): EarlierPresentedToken | null;
