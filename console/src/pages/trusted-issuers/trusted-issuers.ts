import type { Page, Route } from '../../router.ts';
import { issuerListPage } from './issuer-list.ts';
import { issuerPage } from './issuer-page.ts';

/** `#/trusted-issuers` and `#/trusted-issuers/ID` */
export function issuersPage({ segments }: Route): Page | null {
  const [, id, ...rest] = segments;
  if (rest.length > 0) return null;
  return id === undefined ? issuerListPage() : issuerPage(id);
}
