const TRANSACTION_BITS = 64n;

/**
 * The position of a revocation in their order: the transaction that wrote it, prefixed with the epoch of the database
 * server. Positions are ordered only within one epoch. After a failover to a standby that lagged behind, and after a
 * crash, the server assigns transaction ids again that were already seen; the epoch tells them apart.
 */
export function positionOf(epoch: bigint, transaction: bigint): bigint {
  return (epoch << TRANSACTION_BITS) | transaction;
}

/** The transaction id of a position (PostgreSQL's xid8). */
export function transactionOf(position: bigint): bigint {
  return BigInt.asUintN(Number(TRANSACTION_BITS), position);
}

export function isSameEpoch(one: bigint, other: bigint): boolean {
  return one >> TRANSACTION_BITS === other >> TRANSACTION_BITS;
}
