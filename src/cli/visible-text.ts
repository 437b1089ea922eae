/**
 * Control characters, and those that turn the direction of writing. A terminal obeys them, so a claim, an e-mail
 * address or a user agent that holds them could rewrite what its reader sees, or type for him.
 */
const unseen = /[\p{Cc}\p{Cs}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

/** The text with each such character spelt as its `\u` escape, which JSON reads back as the same text. */
export function visibleText(text: string): string {
  return text.replace(unseen, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
