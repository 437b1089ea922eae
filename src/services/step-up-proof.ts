import type { StepUpRequest } from '../generated/postern/v1/auth.ts';
import { Rejected } from '../domain/rejection.ts';
import type { StepUpProof } from '../features/authentication/step-up.ts';

/** The proof of a request. @throws Rejected `field-invalid` unless there is exactly one */
export function stepUpProof({ password, code, passkey }: StepUpRequest): StepUpProof {
  const proofs: StepUpProof[] = [
    ...(password === '' ? [] : [{ kind: 'password', password } as const]),
    ...(code === '' ? [] : [{ kind: 'code', code } as const]),
    ...(passkey === undefined ? [] : [{ kind: 'passkey', answer: passkey } as const]),
  ];
  const [proof] = proofs;
  if (proof !== undefined && proofs.length === 1) return proof;
  const description = 'send exactly one of password, code and passkey';
  throw new Rejected({ kind: 'field-invalid', violations: [{ field: 'password', description }] });
}
