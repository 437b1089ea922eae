/** Keys as the settings have them where nothing is set. */
export const keyPolicy = {
  algorithm: 'ES256',
  rotationSeconds: 86_400,
  jwksMaxAgeSeconds: 600,
  accessTokenTtlSeconds: 600,
} as const;
