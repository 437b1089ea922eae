/**
 * The small primes that the faulty generator uses at every key size. 2 is left out: every modulus is odd, so it does not
 * distinguish.
 */
// prettier-ignore
const PRIMES = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127,
  131, 137, 139, 149, 151, 157, 163, 167,
];

/**
 * Whether an RSA modulus was made by the faulty generator of some smart cards (ROCA, CVE-2017-15361), whose keys can be
 * factored. Its primes are powers of 65537 modulo many small primes, and so is the modulus. A false positive has a
 * probability below 1 in 100 million.
 *
 * Source: Nemec et al., "The Return of Coppersmith's Attack", CCS 2017, section 2.3.
 */
export function isRocaModulus(modulus: Uint8Array): boolean {
  const number = BigInt(`0x${Buffer.from(modulus).toString('hex')}`);
  return PRIMES.every((prime) => powersOf65537(prime).has(Number(number % BigInt(prime))));
}

function powersOf65537(prime: number): ReadonlySet<number> {
  const powers = new Set<number>();
  for (let power = 1; !powers.has(power); power = (power * 65537) % prime) powers.add(power);
  return powers;
}
