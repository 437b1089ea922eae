const TRANSACTION_BITS = 64n;

/**
 * A place in the order of revocations: the transaction that wrote one, under the era of the server that numbered it.
 * Only places of one era compare as before and after. After a failover to a standby that was behind, and after a
 * crash, the server gives numbers out again that were seen already; the era keeps such twins apart.
 */
export function positionOf(epoch: bigint, transaction: bigint): bigint {
  return (epoch << TRANSACTION_BITS) | transaction;
}

/** The number of a place's transaction (PostgreSQL's xid8). */
export function transactionOf(position: bigint): bigint {
  return BigInt.asUintN(Number(TRANSACTION_BITS), position);
}

export function isSameEpoch(one: bigint, other: bigint): boolean {
  return one >> TRANSACTION_BITS === other >> TRANSACTION_BITS;
}
