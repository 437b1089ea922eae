/** A way to the database that can be closed, slowed, cut, and made to swallow all that is sent. */
export class TcpProxy {
  /** @param target the path of a unix socket */
  constructor(target: string);
  /** What is sent meanwhile is lost, on the connections of that time for good: nobody hears of their end. */
  swallowing: boolean;
  /** How long everything takes on its way, each direction. */
  delayMs: number;
  /** @returns the port on 127.0.0.1 */
  open(port?: number): Promise<number>;
  /** Resets every connection; new ones may come. */
  cut(): void;
  /** Resets every connection and takes no new ones until it is opened again. */
  close(): Promise<void>;
}
