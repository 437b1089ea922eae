export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export const frameType: Record<
  | 'data'
  | 'headers'
  | 'priority'
  | 'reset'
  | 'settings'
  | 'push'
  | 'ping'
  | 'goaway'
  | 'windowUpdate'
  | 'continuation',
  number
>;
export const flag: Record<'ack' | 'endStream' | 'endHeaders', number>;
export const setting: Record<'maxConcurrentStreams' | 'initialWindow' | 'maxHeaderListSize', number>;

export function frame(type: number, flags: number, stream: number, payload?: Buffer, length?: number): Buffer;
/** A list is sent as several fields of the same name. */
export type Fields = Record<string, string | readonly string[]>;
export function headerBlock(fields: Fields): Buffer;
export function callFields(path: string, more?: Fields): Fields;
export function headers(stream: number, fields: Fields, flags?: number): Buffer;
export function message(stream: number, bytes?: Buffer, compressed?: number, flags?: number): Buffer;
export function reset(stream: number, code?: number): Buffer;
export function settings(values?: readonly (readonly [id: number, value: number])[]): Buffer;
export function windowUpdate(stream: number, increment: number): Buffer;

/** A connection that sends only what the attack sends. */
export class RawHttp2 {
  static open(address: string, options?: { preface?: boolean }): Promise<RawHttp2>;
  readonly frames: readonly Frame[];
  answers: boolean;
  readonly ended: boolean;
  send(...frames: readonly Buffer[]): void;
  flush(...frames: readonly Buffer[]): Promise<void>;
  stopReading(): void;
  readAgain(): void;
  next(fits: (frame: Frame) => boolean, limitMs?: number): Promise<Frame | null>;
  readonly goaway: number | null;
  closed(limitMs?: number): Promise<boolean>;
  half(): void;
  destroy(): void;
}
