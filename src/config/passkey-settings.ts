import { isIpHost, NO_IP_ADDRESS, originFault } from './passkey-origins.ts';
import { InvalidSetting, isDomain, origins, type SettingParser } from './setting-parsers.ts';
import { optional } from './setting-row.ts';

const passkeyOrigins: SettingParser<readonly string[]> = (text) =>
  origins(text).map((origin) => {
    const fault = originFault(origin);
    if (fault !== null) throw new InvalidSetting(fault);
    return origin;
  });

const passkeyRpId: SettingParser<string> = (text) => {
  if (isIpHost(text)) throw new InvalidSetting(`must be a domain: ${NO_IP_ADDRESS}`);
  if (!isDomain(text)) throw new InvalidSetting('must be a domain in lower case, such as example.com');
  return text;
};

/** Settings of passkeys. */
export const passkeySettingRows = {
  passkeyOrigins: {
    ...optional(
      'POSTERN_PASSKEY_ORIGINS',
      'The origins of the web pages on which [passkeys](second-factors.md) are made and used (`https://login.example.com`), ' +
        'separated by commas. An origin has a host name and https, or is on `http://localhost`: browsers make no passkeys ' +
        'for an IP address.',
      passkeyOrigins,
    ),
    displayedDefault:
      'the origin of `POSTERN_ISSUER`, with `localhost` in place of a loopback address; none if that is neither https nor `localhost`',
  },
  passkeyRpId: {
    ...optional(
      'POSTERN_PASSKEY_RP_ID',
      'The domain that passkeys belong to: the host of every passkey origin, or a domain above it. Passkeys made for another ' +
        'one cannot be used, so do not change it later.',
      passkeyRpId,
    ),
    displayedDefault: 'the host of the first passkey origin',
  },
};
