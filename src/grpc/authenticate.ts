import type { AccessClass, Caller } from '../domain/caller.ts';
import type { Call } from './call.ts';

/** Lets a call in to a method that is not public, or throws `Rejected`. */
export type Authenticate = (access: Exclude<AccessClass, 'public'>, call: Call) => Promise<Caller>;
