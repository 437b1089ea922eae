/** When a revocation was written, so that instances can tell how long they took to hear of it. */
export const revocationTimes = `
ALTER TABLE revocations ADD COLUMN written_at timestamptz NOT NULL DEFAULT now();
`;
