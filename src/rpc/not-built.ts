/** A method whose operation is not built yet. */
export function notBuilt(): never {
  throw new Error('this method is not built yet');
}
