/**
 * An index over the kinds of password hashes that are not made as new ones are, mostly imported ones: refusals wait for
 * the slowest of them. A kind is the text less salt and digest: bcrypt writes both in one field and Django's scrypt
 * the salt in the middle; elsewhere they are the last two fields. Cut, lest a damaged text be too long for the index.
 */
export const passwordHashKinds = `
CREATE FUNCTION postern_hash_kind(hash text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $body$
  SELECT left(regexp_replace(hash,
    '^(scrypt[$][0-9]+[$])[^$]+([$][0-9]+[$][0-9]+[$])[^$]*$|^([$]2[a-z]*[$][0-9]+[$])[^$]*$|^(.*[$])[^$]*[$][^$]*$|^.*$',
    '\\1\\2\\3\\4'), 100)
$body$;
CREATE INDEX users_other_hash_kind ON users (postern_hash_kind(password_hash))
  WHERE password_hash NOT LIKE '$argon2id$v=19$m=19456,t=2,p=1$%';
`;
