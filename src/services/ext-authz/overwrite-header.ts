import {
  HeaderValueOption_HeaderAppendAction,
  type HeaderValueOption,
} from '../../generated/envoy/config/core/v3/base.ts';

/**
 * A header that replaces every value that the client sent under its name (E02). Both `append` and `appendAction` are
 * set, for old and new versions of Envoy: without them some versions append, and the attacker's value would reach the
 * upstream.
 */
export function overwriteHeader(key: string, value: string): HeaderValueOption {
  return {
    header: { key, value, rawValue: Buffer.alloc(0) },
    append: false,
    appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
  };
}
