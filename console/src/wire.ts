import type { AdminServiceService } from '../../src/generated/postern/v1/admin.ts';
import type { AuthServiceService } from '../../src/generated/postern/v1/auth.ts';

/** A generated message as ProtoJSON: absent members have their default, times are RFC 3339, enums are names. */
export type Wire<T> = T extends Date
  ? string
  : T extends number
    ? number extends T
      ? number
      : string
    : T extends readonly (infer Item)[]
      ? Wire<Item>[]
      : T extends object
        ? Members<T>
        : T;

type Choice = { readonly $case: string; readonly value: unknown };
/** The alternatives of a oneof are members of the message itself. */
type Choices<T> = { [K in keyof T]: NonNullable<T[K]> extends Choice ? NonNullable<T[K]> : never }[keyof T];
type Members<T> = {
  [K in keyof T as NonNullable<T[K]> extends Choice ? never : K]?: Wire<NonNullable<T[K]>>;
} & { [C in Choices<T> as C['$case']]?: Wire<C['value']> };

interface Method<Request, Response> {
  requestSerialize(value: Request): unknown;
  responseDeserialize(value: never): Response;
}

type Methods<Service> = {
  [Name in keyof Service & string]: Service[Name] extends Method<infer Request, infer Response>
    ? { request: Wire<Request>; response: Wire<Response> }
    : never;
};

export type AdminMethods = Methods<typeof AdminServiceService>;
export type AuthMethods = Methods<typeof AuthServiceService>;
