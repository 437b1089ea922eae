import { stringify } from 'yaml';

/** A document as YAML, without anchors. */
export function asYaml(document: unknown): string {
  return stringify(document, { aliasDuplicateObjects: false, lineWidth: 0 });
}
