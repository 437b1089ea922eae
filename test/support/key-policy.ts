/** The key policy of the default settings. */
export const keyPolicy = {
  algorithm: 'ES256',
  rotationSeconds: 86_400,
  jwksMaxAgeSeconds: 600,
  accessTokenTtlSeconds: 600,
} as const;
